// Loaded between require.js and the widgets manager, which otherwise looks for its icon fonts beside the page.
require.config({
  paths: { "@jupyter-widgets/html-manager/dist": new URL(".", document.currentScript.src).href.replace(/\/$/, "") },
});
