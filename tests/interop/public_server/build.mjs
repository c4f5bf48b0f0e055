// Makes one file of the rig and of the classes in a checkout of lmstudio-js: build.mjs CHECKOUT OUT

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [checkout, outfile] = process.argv.slice(2);
const { build } = createRequire(import.meta.url)("esbuild"); // NODE_PATH says where it is

const sources = {
  name: "sources",
  setup(build) {
    build.onResolve({ filter: /^@lmstudio\/lms-/ }, ({ path: name }) => {
      const found = path.join(checkout, "packages", name.slice(10), "src", "index.ts");
      return existsSync(found) ? { path: found } : undefined;
    });
    build.onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path: name, resolveDir }) => {
      const found = path.join(resolveDir, name.replace(/\.js$/, ".ts"));
      return existsSync(found) ? { path: found } : undefined;
    });
  },
};

await build({
  entryPoints: [path.join(import.meta.dirname ?? path.dirname(process.argv[1]), "rig.ts")],
  bundle: true,
  platform: "node",
  outfile,
  plugins: [sources],
  nodePaths: [process.env.NODE_PATH],
  logLevel: "error",
});
