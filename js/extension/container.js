// What JupyterLab expects of a prebuilt extension: a module federation container (webpack.js.org/concepts/module-federation)
// under window._JUPYTERLAB, from which it asks "./extension". build.mjs fills in the bundle and the
// names of the packages that the application shares.
(() => {
  let scope;
  // The copy in use, or the newest: what webpack takes for packages of which there may be one only.
  const shared = async (name) => {
    const newest = Object.entries(scope[name] ?? {}).sort(([a], [b]) => b.localeCompare(a, undefined, { numeric: true }));
    const copy = (newest.find(([, { loaded }]) => loaded) ?? newest[0])?.[1];
    if (!copy) return {}; // this application has none
    copy.loaded = 1;
    return (await copy.get())();
  };
  (window._JUPYTERLAB ??= {})["kling-widget"] = {
    init: (theirs) => void (scope = theirs),
    async get() {
      const found = await Promise.all($SHARED.map(async (name) => [name, await shared(name)]));
      const modules = Object.fromEntries(found);
      const module = { exports: {} };
      ((require, module, exports) => {
        $EXTENSION;
      })((name) => modules[name], module, module.exports);
      return () => module.exports;
    },
  };
})();
