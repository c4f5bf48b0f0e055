// How jest runs the suite; test_javascript_suite.py says where things are.

const path = require("path");

const suite = path.join(process.env.JAVASCRIPT_SUITE_CHECKOUT, "packages/lms-client/src");
const modules = process.env.JAVASCRIPT_SUITE_MODULES;
const installed = name => require.resolve(name, { paths: [modules] });
const here = name => path.join(__dirname, name);

module.exports = {
  rootDir: suite,
  testMatch: ["**/*.heavy.test.ts"],
  testEnvironment: "node",
  transform: { "\\.ts$": here("transform.cjs") },
  setupFiles: [here("setup.cjs")],
  snapshotResolver: path.join(process.env.JAVASCRIPT_SUITE_CHECKOUT, "jestSnapshotResolver.js"),
  moduleNameMapper: {
    "^(\\.\\.?/)+(index|tool)\\.js$": here("client.cjs"),
    "^@lmstudio/lms-common$": here("client.cjs"),
    "^(\\.\\.?/)+shared\\.heavy\\.test\\.js$": path.join(suite, "shared.heavy.test.ts"),
    "^@lmstudio/sdk$": installed("@lmstudio/sdk"),
    "^zod$": installed("zod"),
  },
  cacheDirectory: process.env.JAVASCRIPT_SUITE_CACHE,
  watchman: false,
};
