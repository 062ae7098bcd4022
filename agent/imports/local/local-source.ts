// A file of this node as the source of an import.

import { problem } from '../../../protocol/problems.ts'
import type { FileIdentity, ImportSource, OpenSource } from '../source.ts'
import { FileShortened, isSameFile, openLocalFile } from './local-file.ts'
import type { LocalFile, OpenRefusal } from './local-file.ts'

export interface LocalSourceOptions {
  /** Folder without links, below which every part is opened without following links. */
  readonly root: string
  readonly parts: readonly string[]
  /** The file as a user wrote it. */
  readonly shown: string
  /** The file that was found before. Another one is refused with `source-changed`. */
  readonly expected?: FileIdentity
}

/** Creates the source. */
export function createLocalSource(options: LocalSourceOptions): ImportSource {
  return { open: () => openSource(options) }
}

async function openSource({ root, parts, shown, expected }: LocalSourceOptions): Promise<OpenSource> {
  const opening = await openLocalFile(root, parts)
  if (opening.kind === 'refused') throw refusal(opening.why, shown, expected !== undefined)
  const { file } = opening
  if (expected && !isSameFile(file.identity, expected)) {
    await file[Symbol.asyncDispose]()
    throw changed(shown)
  }
  const { inode, length, modifiedNs } = file.identity
  return {
    facts: { length, filename: parts.at(-1) ?? null, validator: `${inode}-${length}-${modifiedNs}`, canResume: true },
    read: (offset) => readUnchanged(file, offset, shown),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  }
}

/** Returns the bytes from an offset. The last piece is returned only if the file is unchanged, because the image is published with it. */
async function* readUnchanged(file: LocalFile, offset: number, shown: string): AsyncGenerator<Uint8Array, void> {
  let at = offset
  try {
    for await (const piece of file.read(offset)) {
      at += piece.byteLength
      if (at === file.identity.length && !(await file.isUnchanged())) throw changed(shown)
      yield piece
    }
  } catch (error) {
    throw error instanceof FileShortened ? changed(shown) : error
  }
}

function changed(shown: string): Error {
  return problem('source-changed', `The file ${JSON.stringify(shown)} was changed or replaced while it was imported.`)
}

function refusal(why: OpenRefusal, shown: string, wasFound: boolean): Error {
  const name = JSON.stringify(shown)
  switch (why) {
    case 'missing':
      return wasFound ? changed(shown) : problem('source-refused', `There is no file ${name} on the node of this store.`, { action: 'Check the path.' })
    case 'link':
      return problem('source-not-allowed', `${name} is a symbolic link, or leads through one. Links are not followed.`, {
        action: 'Name the file itself, below a folder of imports.roots.',
      })
    case 'not-a-file':
      return problem('source-refused', `${name} is not a regular file.`, { action: 'Name a regular file.' })
    case 'other-device':
      return problem('source-not-allowed', `${name} is on another file system than its folder of imports.roots.`, {
        action: 'Add the folder where that file system is mounted to imports.roots, and restart the agent.',
      })
    case 'no-access':
      return problem('source-refused', `The agent may not read ${name}.`, { action: 'Check owner and mode of the file and of the folders above it.' })
    default:
      return why satisfies never
  }
}
