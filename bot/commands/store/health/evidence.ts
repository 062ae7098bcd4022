// `store evidence S`: one archive for whoever looks for a fault. The agent makes it; where it does not answer, the bot makes one of what it knows.

import { EVIDENCE_BYTES_MAX } from '../../../../protocol/evidence.ts'
import { problem } from '../../../../protocol/problems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { formatBytes } from '../../../../protocol/views/phrases.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { NAME_TARGET, oneStore } from '../../select.ts'
import { botEvidence } from './bot-evidence.ts'

const AGENT_CONTENT = 'health, store, log, events, tasks, schedules, metrics, configuration without secrets, versions, file systems, lengths of files'

export const storeEvidence = defineCommand({
  noun: 'store',
  verb: 'evidence',
  summary: 'Writes an archive with log, events, checks, configuration without secrets and versions of a store',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  options: { file: { about: 'new file of this machine, in the console only', value: 'PATH', subject: 'path' } },
  examples: ['store evidence edge-a', 'store evidence edge-a file=/tmp/edge-a.tar.gz'],
  async run(context, { targets, options }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    if (options.file !== undefined && !context.fileWriter)
      throw problem('invalid-input', 'Files are named in the console only.', {
        action: 'Leave out file=: the archive is written to the home folder of the bot.',
      })
    const contact = await context.fleet.contact(store, (agent) => agent.evidence())
    const fromAgent = contact.kind === 'answered' && isArchive(contact.value) ? contact.value : undefined
    const reason =
      contact.kind === 'answered' ? 'Its answer is not an archive.' : contact.kind === 'stopped' ? contact.reason : `It refused: ${contact.problem.detail}`
    const made = fromAgent ? { bytes: fromAgent, content: AGENT_CONTENT } : await botEvidence(context, contact.store, reason)
    const written = await write(context, options.file, `slipway-evidence-${store.name}-${stamp(contact.asOfMs)}.tar.gz`, made.bytes)
    const sha256 = new Bun.CryptoHasher('sha256').update(made.bytes).digest('hex')
    return makeView({
      title: `Evidence of ${store.name}`,
      text: fromAgent
        ? `The agent of ${store.name} made the archive.`
        : `The agent of ${store.name} gave no archive. The bot made one of what it knows. ${reason}`,
      tone: fromAgent ? 'good' : 'warning',
      fields: [
        { label: 'File', value: `${written.path}${context.fileWriter ? '' : ' on the node of the bot'}` },
        { label: 'Length', value: formatBytes(written.length) },
        { label: 'SHA-256', value: sha256 },
        { label: 'Content', value: `${made.content}; README.txt lists the files` },
      ],
      asOfMs: contact.asOfMs,
      json: {
        store: store.name,
        from: fromAgent ? 'agent' : 'bot',
        reason: fromAgent ? null : reason,
        path: written.path,
        length: written.length,
        sha256,
        content: made.content,
        asOf: formatTime(contact.asOfMs),
      },
    })
  },
})

/** Whether bytes can be an archive compressed with gzip (RFC 1952 §2.3.1). They are not unpacked: a small one may unpack to any length. */
function isArchive(bytes: Uint8Array): boolean {
  return bytes.byteLength > 18 && bytes.byteLength <= EVIDENCE_BYTES_MAX && bytes[0] === 0x1f && bytes[1] === 0x8b
}

function write(
  context: CommandContext,
  file: string | undefined,
  name: string,
  bytes: Uint8Array,
): Promise<{ readonly path: string; readonly length: number }> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  return context.fileWriter ? context.fileWriter.write(file ?? name, pieces()) : context.evidenceFiles.write(name, pieces())
}

function stamp(ms: number): string {
  return formatTime(ms).replaceAll(/[:.]/g, '-')
}
