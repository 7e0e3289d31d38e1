import { ILabShell, ILayoutRestorer, type JupyterFrontEnd } from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { ILauncher } from "@jupyterlab/launcher";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { LabIcon } from "@jupyterlab/ui-components";
import icon from "./icon.svg";
import { Line, MIME } from "./line";
import styles from "./panel.css";
import { SidePanel } from "./panel";

const OPEN = "kling-widget:open";
const LABEL = "Turn an image into a video";

/** An application without one of these services goes without it; a token nobody provides stands for it. */
const optional = [INotebookTracker, ILabShell, ILayoutRestorer, ICommandPalette, ILauncher].map((token) => token ?? {});

function activate(
  app: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  lab: object | null,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
): void {
  if (!tracker) return; // Voila and others that load extensions and have no notebooks: there the widget stays inline
  const style = document.createElement("style");
  style.textContent = styles;
  document.head.append(style);

  const labIcon = new LabIcon({ name: "kling-widget:icon", svgstr: icon });
  // Where a new notebook opens another browser tab, as in Notebook 7, looking at the panel must not do it.
  const panel = new SidePanel(app, tracker, { opensNotebooks: lab !== null });
  panel.title.icon = labIcon;
  panel.title.caption = "Image to video with Kling"; // also "Show …" in the menu View > Right Sidebar
  app.shell.add(panel, "right", { rank: 900 });
  restorer?.add(panel, panel.id);

  app.commands.addCommand(OPEN, {
    label: LABEL,
    caption: "Open the side panel of kling_widget",
    icon: labIcon,
    execute: () => panel.open(),
  });
  palette?.addItem({ command: OPEN, category: "Video" });
  launcher?.add({ command: OPEN, category: "Other", rank: 0 });

  // In notebooks only: elsewhere nobody would show the widget for which the line stands.
  const prepare = (notebook: NotebookPanel) => {
    const createRenderer = () => new Line((modelId) => panel.open(modelId));
    // -20: before the widget itself (-10), which stands in the same output for pages without this extension.
    notebook.content.rendermime.addFactory({ safe: true, mimeTypes: [MIME], createRenderer }, -20);
    panel.attend(notebook);
  };
  tracker.forEach(prepare);
  tracker.widgetAdded.connect((_, notebook) => prepare(notebook));
}

export default { id: "kling-widget:side-panel", autoStart: true, optional, activate };
