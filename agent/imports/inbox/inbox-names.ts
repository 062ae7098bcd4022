// Which names in the inbox are images, and what the image is called. Pure.

import { nameSchema } from '../../../protocol/images/image.ts'

export type InboxName =
  /** A name that writers use for unfinished files. It is left alone for as long as it has this name. */
  { readonly kind: 'temporary' } | { readonly kind: 'refused'; readonly reason: string } | { readonly kind: 'image'; readonly name: string }

/** Ends of names of unfinished files: browsers, curl and wget scripts, rsync, editors. */
const TEMPORARY_ENDS = ['.part', '.partial', '.tmp', '.temp', '.crdownload', '.filepart', '.download', '.swp', '~']

/** Judges the name of a file in the inbox, as the bytes that the folder has. */
export function judgeInboxName(bytes: Uint8Array): InboxName {
  let name: string
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { kind: 'refused', reason: 'Its name is not UTF-8. Rename the file.' }
  }
  if (name.startsWith('.') || name.startsWith('#') || TEMPORARY_ENDS.some((end) => name.toLowerCase().endsWith(end))) return { kind: 'temporary' }
  const parsed = nameSchema.safeParse(name)
  if (!parsed.success) return { kind: 'refused', reason: `Its name ${parsed.error.issues[0]?.message ?? 'is not valid'}. Rename the file.` }
  return { kind: 'image', name: parsed.data }
}

/** Returns a name as it can be shown and used for a file: other characters than printable ones become `_`. Never empty, never hidden. */
export function safeName(bytes: Uint8Array): string {
  const name = new TextDecoder().decode(bytes).replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufeff\ufffd/]/g, '_')
  return name === '' || name.startsWith('.') ? `_${name}` : name
}
