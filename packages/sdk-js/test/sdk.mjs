// The SDK as it was built: into dist, or where SDK_DIST says.
export const sdk = () => import(process.env.SDK_DIST ? `file://${process.env.SDK_DIST}/index.js` : "../dist/index.js");
/** What tools are installed elsewhere: MODULES is their node_modules. */
export const tool = async (name) => {
  const { createRequire } = await import("node:module");
  const { pathToFileURL } = await import("node:url");
  const from = createRequire(`${process.env.MODULES ?? new URL("../node_modules", import.meta.url).pathname}/index.js`);
  return import(pathToFileURL(from.resolve(name)).href);
};
