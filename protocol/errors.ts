// Reads caught values: `catch` binds `unknown`, and system errors carry a code such as ENOENT that TypeScript does not know.

/** Returns the message of an error, or the text of any other thrown value. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Returns the code of an error, such as `ENOENT` or `SQLITE_FULL`; undefined when it has none. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Whether an error has one of these codes. */
export function hasCode(error: unknown, ...codes: readonly [string, ...string[]]): boolean {
  const code = errorCode(error)
  return code !== undefined && codes.includes(code)
}
