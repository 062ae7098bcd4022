// Archives of evidence in the home folder of the bot, for orders from Slack, which cannot take files with the scopes of the app.

import { mkdir, readdir, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { writeLocalFile } from './local-files.ts'

/** Archives that are kept; the oldest is removed for a new one. Each has at most EVIDENCE_BYTES_MAX. */
const ARCHIVES_MAX = 20
const NAME = /^slipway-evidence-[\w.-]+\.tar\.gz$/
/** The time at the end of a name, by which archives of all stores are sorted. */
const TIME = /-(\d{4}-\d\d-\d\dT[\d-]+Z)\.tar\.gz$/

export interface EvidenceFiles {
  /** Writes an archive that only the user of the bot can read; returns its absolute path and length. Throws ProblemError. */
  write(name: string, pieces: AsyncIterable<Uint8Array>): Promise<{ readonly path: string; readonly length: number }>
}

/** Creates the archives of a home folder. */
export function createEvidenceFiles(home: string): EvidenceFiles {
  const folder = resolve(home, 'evidence')
  return {
    async write(name, pieces) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const archives = (await readdir(folder)).filter((found) => NAME.test(found)).toSorted((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1))
      for (const old of archives.slice(0, Math.max(0, archives.length - ARCHIVES_MAX + 1))) await unlink(join(folder, old))
      return writeLocalFile(join(folder, name), pieces)
    },
  }
}

function timeOf(name: string): string {
  return TIME.exec(name)?.[1] ?? ''
}
