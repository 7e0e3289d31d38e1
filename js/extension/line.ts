import type { IMimeModel } from "@jupyterlab/rendermime";
import { Widget } from "@lumino/widgets";

/** What `KlingWidget.side_panel()` displays (kling_widget/panel_output.py): `{model_id}`, or `{hint: true}`. */
export const MIME = "application/vnd.kling-widget.side-panel+json";

/** In a cell's output, where the widget would be: that it is in the side panel. The hint why it isn't is left out. */
export class Line extends Widget {
  constructor(private wanted: (modelId: string) => void) {
    super();
    this.addClass("kling-side-line");
  }

  async renderModel(model: IMimeModel): Promise<void> {
    const { model_id: modelId } = model.data[MIME] as { model_id?: unknown };
    if (typeof modelId !== "string") return this.hide();
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Show";
    button.onclick = () => this.wanted(modelId);
    this.node.replaceChildren("In the side panel. ", button);
  }
}
