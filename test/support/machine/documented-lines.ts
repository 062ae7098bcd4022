// Extracts the shell blocks of a document and runs them in a machine as an operator would: unchanged, in a root shell.

import { join } from 'node:path'
import type { Machine } from './systemd-machine.ts'

const ROOT = join(import.meta.dir, '../../..')
/** Matches a fenced block. Tests run blocks marked `sh`; `sh illustration` marks the few that depend on the reader's own names. */
const BLOCK = /^```(?<language>[^\n]*)\n(?<text>[\s\S]*?)^```$/gm

/** Returns the blocks in a fence of exactly this language in one section of a document, in order. Throws if there is none. */
export async function documentedBlocks(document: string, heading: string, language = 'sh'): Promise<string[]> {
  const text = await Bun.file(join(ROOT, document)).text()
  const section = sectionOf(text, heading)
  if (section === undefined) throw new Error(`${document} has no section "${heading}"`)
  const blocks = [...section.matchAll(BLOCK)].filter(({ groups }) => groups?.['language'] === language).map(({ groups }) => groups?.['text'] ?? '')
  if (blocks.length === 0) throw new Error(`${document}, "${heading}" has no block marked ${language}`)
  return blocks
}

/**
 * Runs the `sh` blocks of one section, each in its own shell that stops at the first error, and returns their output. Throws with the output of
 * a block that fails.
 */
export async function runDocumented({ must }: Pick<Machine, 'must'>, document: string, heading: string): Promise<string> {
  let printed = ''
  for (const block of await documentedBlocks(document, heading)) printed += await must('bash', '-euo', 'pipefail', '-c', `cd /root\n${block}`)
  return printed
}

/** Returns the text from a heading to the next heading of any level; undefined without such a heading. */
function sectionOf(text: string, heading: string): string | undefined {
  let isInBlock = false
  let section: string[] | undefined
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) isInBlock = !isInBlock
    if (!isInBlock && /^#+ /.test(line)) {
      if (section) break
      if (line.replace(/^#+ /, '') === heading) section = []
    }
    section?.push(line)
  }
  return section?.join('\n')
}
