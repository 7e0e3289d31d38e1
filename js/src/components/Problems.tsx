import type { Field } from "../model";
import type { View } from "../view";

/** The attributes that tie a control to the problems shown beside it. */
export function faulty(view: View, field: Field): { "aria-invalid"?: "true"; "aria-describedby"?: string } {
  return view.problems(field).length ? { "aria-invalid": "true", "aria-describedby": `${view.id}-${field}-problem` } : {};
}

/** What is wrong with one field, beside it. */
export function Problems({ view, field }: { view: View; field: Field }) {
  const problems = view.problems(field);
  if (!problems.length) return null;
  return (
    <div class="kw-problem" role="alert" id={`${view.id}-${field}-problem`}>
      {problems.map(({ text }) => (
        <span key={text}>{text} </span>
      ))}
      {problems.some(({ anyway }) => anyway) && (
        <button type="button" class="kw-button" onClick={() => view.generate(true)}>
          Send anyway
        </button>
      )}
    </div>
  );
}
