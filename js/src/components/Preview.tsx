import { useEffect, useRef, useState } from "preact/hooks";
import type { View } from "../view";

/** A picture the kernel is asked for, once it comes near the screen: a workspace may hold hundreds. */
export function Preview({ view, of, version = "", name = "" }: { view: View; of: string; version?: string; name?: string }) {
  const [url, setUrl] = useState<string | null>(null);
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let gone = false;
    const ask = async () => {
      const found = await view.media.preview(of, version);
      if (!gone && found) setUrl(found);
    };
    const stop = whenNear(place.current!, ask);
    return () => {
      gone = true;
      stop();
    };
  }, [of, version]);
  return (
    <span ref={place} class="kw-preview">
      {url ? <img src={url} alt="" /> : <span class="kw-name">{name}</span>}
    </span>
  );
}

function whenNear(element: Element, act: () => void): () => void {
  const observer = new IntersectionObserver(
    (seen) => {
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      act();
    },
    { rootMargin: "300px" },
  );
  observer.observe(element);
  return () => observer.disconnect();
}
