// Builds the JupyterLab extension into js/labextension, the folder that is installed as
// share/jupyter/labextensions/kling-widget. esbuild does it, which bundles the widget anyway: the container that
// JupyterLab asks for is short (container.js), and @rspack/core would be another 53 MB in every build.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const OUT = "labextension";

/** Packages of which the application gives its own copy. */
const SHARED = [
  ...["application", "apputils", "launcher", "notebook", "rendermime", "ui-components"].map((name) => `@jupyterlab/${name}`),
  "@lumino/widgets",
];

export async function buildExtension(target) {
  const bundle = await esbuild.build({
    entryPoints: ["extension/index.ts"],
    bundle: true,
    write: false,
    format: "cjs",
    minify: true,
    target,
    external: SHARED,
    loader: { ".svg": "text", ".css": "text" },
    legalComments: "none",
    logLevel: "warning",
  });
  const container = readFileSync("extension/container.js", "utf8")
    .replace("$SHARED", () => JSON.stringify(SHARED))
    .replace("$EXTENSION;", () => bundle.outputFiles[0].text);
  const { code } = await esbuild.transform(container, { minify: true, target, legalComments: "none" });

  const name = `remoteEntry.${createHash("sha256").update(code).digest("hex").slice(0, 12)}.js`; // or browsers keep the old
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(`${OUT}/static`, { recursive: true });
  writeFileSync(`${OUT}/static/${name}`, code);
  const [, version] = readFileSync("../pyproject.toml", "utf8").match(/^version = "(.+)"$/m);
  const about = {
    name: "kling-widget",
    version,
    description: "Turn an image into a video: the side panel of kling_widget",
    license: "BSD-3-Clause",
    dependencies: { "@jupyterlab/application": "^4.0.0" }, // by which `jupyter labextension list` judges
    jupyterlab: { extension: true, _build: { load: `static/${name}`, extension: "./extension" } },
  };
  const installed = {
    packageManager: "python",
    packageName: "kling-widget",
    uninstallInstructions: "Use your Python package manager (pip, conda, …) to uninstall the package kling-widget",
  };
  writeFileSync(`${OUT}/package.json`, JSON.stringify(about, null, 2));
  writeFileSync(`${OUT}/install.json`, JSON.stringify(installed, null, 2));
  console.log(`${name} ${gzipSync(code, { level: 9 }).length} bytes gzipped`);
}
