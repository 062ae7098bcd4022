// A start that cannot be: told in one sentence with the next step, exit code 2.

/** Its message is what the operator reads. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused'
}
