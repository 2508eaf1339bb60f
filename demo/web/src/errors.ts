/** The one exception that people cause and people mend. */

/** Something given to us cannot be used: one sentence that says what was found, what was expected, and what to do. */
export class InputError extends Error {}

// What browsers and onnxruntime-web say where there is none left; each has words of its own.
const NO_MEMORY = /out of memory|allocation (failed|size)|memory size exceeded|could not allocate|cannot allocate|bad_alloc/i;

/** Returns the sentence of an error for people; what is no `InputError` is named as such. */
export function sentence(error: unknown): string {
  if (error instanceof InputError) return error.message;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (!NO_MEMORY.test(text)) return text;
  return "this browser has no memory left for that: close other tabs, or give a smaller picture";
}
