// Makes a failing script short: steps are left out as long as it still fails in the same way.

/**
 * Returns the items that are still needed for `fails` to hold, first leaving out halves, then ever smaller runs of items. Ends early when
 * `isLate` says so; what it returns then fails, too.
 */
export async function shrink<Item>(
  items: readonly Item[],
  fails: (items: readonly Item[]) => Promise<boolean>,
  isLate: () => boolean,
): Promise<readonly Item[]> {
  let kept = items
  for (let length = Math.ceil(kept.length / 2); length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2)) {
    for (let at = 0; at < kept.length;) {
      if (isLate()) return kept
      const shorter = [...kept.slice(0, at), ...kept.slice(at + length)]
      if (shorter.length < kept.length && (await fails(shorter))) kept = shorter
      else at += length
    }
  }
  return kept
}

/** The kind of a failure: its message without ids, names and numbers. */
export function kindOfFailure(error: Error): string {
  return error.message.split('\n')[0]?.replaceAll(/[a-z]+_[0-9a-z]{26}|\d+/g, '#') ?? ''
}
