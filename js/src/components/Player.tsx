import { useEffect, useRef, useState } from "preact/hooks";
import type { Entry } from "../model";
import type { View } from "../view";

/** Where a video plays from: the notebook server where it serves the file, else its bytes; and what is said meanwhile. */
export function useSource(view: View, entry: Entry) {
  const [source, setSource] = useState<string | null>(null);
  const [line, setLine] = useState("");
  const failed = `The video cannot be played here. It is saved as ${entry.video!.path}.`;
  const byBytes = async () => {
    setSource(null);
    setLine("Loading…");
    const url = await view.media.video(entry.key, (percent) => setLine(`Loading · ${percent} %`));
    setSource(url);
    setLine(url ? "" : failed);
  };
  useEffect(() => {
    void view.media.served(entry).then((url) => (url ? setSource(url) : byBytes()));
  }, [entry.key]);
  const onError = () => {
    if (!source?.startsWith("blob:")) return void byBytes();
    setSource(null);
    setLine(failed);
  };
  return { source, line, onError };
}

/** Its shape before it is loaded, so that nothing jumps. */
export function shape({ video }: Entry) {
  return video?.width && video.height ? { aspectRatio: `${video.width} / ${video.height}` } : {};
}

/** The video in place. */
export function Player({ view, entry, close }: { view: View; entry: Entry; close: () => void }) {
  const { source, line, onError } = useSource(view, entry);
  const out = useRef<HTMLButtonElement>(null);
  useEffect(() => out.current?.focus(), []); // not once it is loaded: by then a person may be typing elsewhere
  return (
    <div class="kw-pic" style={shape(entry)}>
      {source && <video src={source} controls loop muted autoplay playsInline onError={onError} />}
      {line && <span class="kw-name">{line}</span>}
      <button ref={out} type="button" class="kw-x" onClick={close}>
        <span class="kw-hidden">Close the video</span>
        <span aria-hidden="true">✕</span>
      </button>
    </div>
  );
}
