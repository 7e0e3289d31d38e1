import { h, render as draw } from "preact";
import { Panel } from "./components/Panel";
import type { Model } from "./model";
import { View } from "./view";

/** anywidget's entry: called once a view. Returns what takes the view away again. */
function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const view = new View(model);
  el.classList.add("kling-widget-host");
  draw(h(Panel, { view }), el);
  return () => {
    draw(null, el);
    el.classList.remove("kling-widget-host");
    view.close();
  };
}

export default { render };
