import { useEffect, useRef, useState } from "preact/hooks";
import type { Entry } from "../model";
import type { View } from "../view";

/** The video in place: from the notebook server where it serves the file, else by its bytes. */
export function Player({ view, entry, close }: { view: View; entry: Entry; close: () => void }) {
  const [source, setSource] = useState<string | null>(null);
  const [line, setLine] = useState("");
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => video.current?.focus(), [source]);
  const byBytes = async () => {
    setSource(null);
    setLine("Loading…");
    const url = await view.media.video(entry.key, (percent) => setLine(`Loading · ${percent} %`));
    setSource(url);
    setLine(url ? "" : failed);
  };
  const failed = `The video cannot be played here. It is saved as ${entry.video!.path}.`;
  useEffect(() => {
    void view.media.served(entry).then((url) => (url ? setSource(url) : byBytes()));
  }, [entry.key]);
  const { width, height } = entry.video!;
  return (
    <div class="kw-pic" style={width && height ? { aspectRatio: `${width} / ${height}` } : {}}>
      {source && (
        <video
          ref={video}
          src={source}
          controls
          loop
          muted
          autoplay
          playsInline
          onError={() => {
            if (!source.startsWith("blob:")) return void byBytes();
            setSource(null);
            setLine(failed);
          }}
        />
      )}
      {line && <span class="kw-name">{line}</span>}
      <button type="button" class="kw-x" onClick={close}>
        <span class="kw-hidden">Close the video</span>
        <span aria-hidden="true">✕</span>
      </button>
    </div>
  );
}
