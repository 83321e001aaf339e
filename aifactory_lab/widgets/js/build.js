// Bundle the boards into board.js and board.css, the hall into hall.js and hall.css: `node build.js [folder]`, by default ../static.
import { build } from "esbuild";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "static");
mkdirSync(folder, { recursive: true });

const common = {
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "inline",
  target: ["es2022", "chrome110", "firefox110", "safari16"],
  absWorkingDir: here, // so that no path of this machine gets into the bundle
};
for (const name of ["board", "hall"]) {
  const entry = name === "board" ? "src/index.js" : `src/${name}.js`;
  await build({ ...common, entryPoints: [entry], format: "esm", outfile: join(folder, `${name}.js`) });
  await build({ ...common, entryPoints: [`src/${name}.css`], outfile: join(folder, `${name}.css`) });
}
for (const [name, title] of [["uplot", "uPlot"], ["three", "three"]]) {
  copyFileSync(join(here, "node_modules", name, "LICENSE"), join(folder, `${title}.LICENSE.txt`));
}
