// The last message of a process that a bug ends.

/**
 * Ends the program on an unhandled error with one sentence and its stack, instead of the runtime's own report
 * with an excerpt of the source. Exit code 1: a supervisor starts it again.
 */
export function exitOnCrash(program: string): void {
  const crash = (error: unknown): void => {
    const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined }
    const text = `${program} stopped because of an unexpected error: ${message}. Start it again, and report this with the lines below.\n${stack ?? ''}\n`
    process.stderr.write(text, () => process.exit(1))
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}
