/** The one exception that people cause and people mend. */

/** Something given to us cannot be used: one sentence that says what was found, what was expected, and what to do. */
export class InputError extends Error {}

/** Returns the sentence of an error for people; what is no `InputError` is named as such. */
export function sentence(error: unknown): string {
  if (error instanceof InputError) return error.message;
  if (error instanceof RangeError && /memory|allocation|array buffer/i.test(error.message)) {
    return "this browser has no memory left for that: close other tabs, or give a smaller picture";
  }
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
