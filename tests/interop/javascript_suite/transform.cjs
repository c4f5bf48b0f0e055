// Turns the suite's TypeScript into what Node runs. The types are not checked.

const { transformSync } = require("esbuild");

module.exports = {
  process: (source, path) => {
    const { code } = transformSync(source, { loader: "ts", format: "cjs", sourcefile: path });
    return { code };
  },
};
