// Which of several images a name means.

import type { Image } from '../../../protocol/images/image.ts'

/** Returns the images that a name means: one that exists takes precedence over one that is still uploaded. */
export function preferred(named: readonly Image[]): readonly Image[] {
  const existing = named.filter(({ status }) => status !== 'uploading' && status !== 'pending')
  return existing.length > 0 ? existing : named
}
