import type { ISessionContext, Value } from "@jupyterlab/notebook";

/** A sentence for the person, in place of the widget. */
export class Problem extends Error {}

/**
 * Ask the notebook's kernel which widget is in its panel; it makes one if there is none. Leaves no trace in the history.
 *
 * @param modelId - A widget that was in the panel before and is wanted again.
 * @param sent - Called with the id of the request.
 */
export async function widgetOf(
  session: ISessionContext,
  modelId: string | null,
  sent: (id: string) => void,
): Promise<string> {
  await session.ready;
  const kernel = session.session?.kernel;
  if (!kernel) throw new Problem("This notebook has no kernel. Choose one for it, and the widget appears here.");
  const ended = () => {
    throw new Problem("The kernel ended before it answered.");
  };
  const language = (await kernel.info.catch(ended)).language_info.name;
  if (language !== "python") {
    throw new Problem(`This notebook's kernel speaks ${language}, and the widget needs Python. Open a Python notebook.`);
  }
  const argument = modelId === null ? "" : JSON.stringify(modelId);
  const expression = `__import__("kling_widget.side_panel").side_panel.panel(${argument})`;
  const future = kernel.requestExecute({
    code: "",
    silent: true,
    store_history: false,
    stop_on_error: false,
    user_expressions: { panel: expression },
  });
  sent(future.msg.header.msg_id);
  const reply = await future.done.catch(ended);
  // A cell that fails or is interrupted drops whatever waits behind it.
  if (reply?.content.status === "aborted") return widgetOf(session, modelId, sent);
  const value = reply?.content.user_expressions?.["panel"];
  if (value?.status !== "ok") throw new Problem(inWords(value));
  return (value.data!["application/json"] as { model_id: string }).model_id;
}

function inWords(value: Value | undefined): string {
  if (value?.ename === "ModuleNotFoundError" && value.evalue?.includes("kling_widget")) {
    return "kling_widget is not installed in this notebook's kernel. Run %pip install kling-widget in a cell.";
  }
  return value?.evalue || "The kernel could not make the widget. Its log may say why.";
}
