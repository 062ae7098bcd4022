// A refused start: one sentence with the next step, exit code 2.

/** The message is shown to the operator. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused'
}
