import type { ComponentProps } from "preact";
import { useEffect, useRef } from "preact/hooks";

type Props = ComponentProps<"input"> & { label: string; close: () => void; use: (text: string) => void };

/** A line to type in and the button that takes it, as Enter does; Escape leaves it. It forgets at once what was taken. */
export function Line({ label, close, use, ...rest }: Props) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const take = () => {
    const field = input.current!;
    const text = field.value.trim();
    field.value = "";
    if (text) use(text);
  };
  // No <form>: browsers would offer to remember what is in it.
  return (
    <span class="kw-inline">
      <input
        ref={input}
        class="kw-input"
        {...rest}
        onKeyDown={(event) => {
          if (event.key === "Enter") take();
          if (event.key === "Escape") close();
        }}
      />
      <button type="button" class="kw-button" onClick={take}>
        {label}
      </button>
    </span>
  );
}
