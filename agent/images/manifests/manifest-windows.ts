// A manifest read in windows: for passes that need every entry and must not hold a manifest of hundreds of megabytes in memory.

import { hasCode } from '../../../protocol/errors.ts'
import { formatDigest } from '../../../protocol/digest.ts'
import { MANIFEST_ENTRY_BYTES, MANIFEST_HEADER_BYTES, MANIFEST_TRAILER_BYTES, ManifestInvalid, manifestLength } from '../../../protocol/manifest.ts'
import type { Disk } from '../../contract/disk.ts'

/** Entries of one window: 640 KiB. */
const WINDOW_ENTRIES = 16_384

/**
 * Gives whole entries as they lie in a manifest, each window in memory of its own. Throws ManifestInvalid when the file is not the
 * manifest with this digest, at the end at the latest: what was given before counts only once the last window was given.
 */
export async function* readManifestWindows(disk: Disk, path: string, manifestDigest: string): AsyncGenerator<Uint8Array> {
  await using file = await openManifest(disk, path)
  const length = await file.length()
  const hash = new Bun.CryptoHasher('sha256')
  const header = new Uint8Array(MANIFEST_HEADER_BYTES)
  await file.read(header, 0)
  const count = Number(new DataView(header.buffer).getBigUint64(12, true))
  if (manifestLength(count) !== length) throw new ManifestInvalid(`${count} entries do not fill ${length} bytes`)
  hash.update(header)
  const end = length - MANIFEST_TRAILER_BYTES
  for (let at = MANIFEST_HEADER_BYTES; at < end; at += WINDOW_ENTRIES * MANIFEST_ENTRY_BYTES) {
    const window = new Uint8Array(Math.min(WINDOW_ENTRIES * MANIFEST_ENTRY_BYTES, end - at))
    if ((await file.read(window, at)) < window.byteLength) throw new ManifestInvalid('its file became shorter while it was read')
    hash.update(window)
    yield window
  }
  const digest = formatDigest(new Uint8Array(hash.digest()))
  if (digest !== manifestDigest) throw new ManifestInvalid('it is not the manifest that image.json names')
}

async function openManifest(disk: Disk, path: string): ReturnType<Disk['openRead']> {
  try {
    return await disk.openRead(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new ManifestInvalid('its file is missing', { cause: error })
    throw error
  }
}
