// Bundle the boards into board.js and board.css: `node build.js [folder]`, by default ../static.
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
await build({ ...common, entryPoints: ["src/index.js"], format: "esm", outfile: join(folder, "board.js") });
await build({ ...common, entryPoints: ["src/board.css"], outfile: join(folder, "board.css") });
copyFileSync(join(here, "node_modules", "uplot", "LICENSE"), join(folder, "uPlot.LICENSE.txt"));
