// Bundles src/ into the two files the Python package carries, and extension/ into the one JupyterLab loads; says what
// they weigh.
// `node build.mjs --dev` serves dev/ instead, with every state of the panel on one page.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { buildExtension } from "./extension/build.mjs";

const shared = {
  bundle: true,
  format: "esm",
  jsx: "automatic",
  jsxImportSource: "preact",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"], // container queries, color-mix
  logLevel: "warning",
};

if (process.argv.includes("--dev")) {
  const context = await esbuild.context({
    ...shared,
    entryPoints: [
      { in: "dev/page.ts", out: "page" },
      { in: "src/styles.css", out: "styles" },
    ],
    loader: { ".jpg": "file", ".png": "file" },
    publicPath: "/build",
    outdir: "dev/build",
  });
  const { port } = await context.serve({ servedir: "dev", host: "127.0.0.1" });
  console.log(`http://127.0.0.1:${port}/`);
} else {
  const out = "../kling_widget/static";
  await esbuild.build({
    ...shared,
    minify: true,
    entryPoints: [
      { in: "src/index.ts", out: "widget" },
      { in: "src/styles.css", out: "widget" },
    ],
    outdir: out,
    legalComments: "none",
  });
  let total = 0;
  for (const file of ["widget.js", "widget.css"]) {
    const size = gzipSync(readFileSync(`${out}/${file}`), { level: 9 }).length;
    total += size;
    console.log(`${file} ${size} bytes gzipped`);
  }
  console.log(`together ${total} bytes gzipped (goal: 20000)`);
  await buildExtension(shared.target);
}
