// The command line of `bun run mutate`.

import { availableParallelism } from 'node:os'
import { join, posix } from 'node:path'
import { parseArgs } from 'node:util'
import type { Scope } from './mutation-run.ts'

export const USAGE = `Usage: bun run mutate [PATH[:LINE[-LINE]]…] [--since COMMIT] [--like PATTERN] [--minutes N] [--sample N] [--seed N] [--workers N] [--floor N] [--json]

Mutates the sources at PATH (default: agent, bot, protocol) and runs the tests that reach each mutant.

  --since COMMIT  only lines that changed since COMMIT
  --like PATTERN  only lines that match a regular expression before or after the change
  --minutes N     stop after N minutes; mutants are taken in an order by the seed
  --sample N      judge at most N mutants, chosen by the seed
  --seed N        default 1
  --workers N     mutants judged in parallel, default one for each core
  --floor N       survivors fail the run only if less than N percent of the mutants were killed
  --json          print one JSON value

Exit code 0: no survivor; 1: a survivor, or a stale entry in test/mutants.json; 2: wrong usage; 130: interrupted.`

export interface Words {
  readonly scopes: readonly Scope[]
  readonly since?: string
  readonly like?: RegExp
  readonly limitMs?: number
  readonly sample?: number
  readonly seed: number
  readonly workers: number
  /** Score below which survivors fail the run, in percent. Without it each one does. */
  readonly floor?: number
  readonly json: boolean
}

/** Returns what the words ask for. Throws with a sentence if they are not understood. */
export function parseWords(words: readonly string[]): Words {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      since: { type: 'string' },
      like: { type: 'string' },
      minutes: { type: 'string' },
      sample: { type: 'string' },
      seed: { type: 'string' },
      workers: { type: 'string' },
      floor: { type: 'string' },
      json: { type: 'boolean' },
    },
  })
  const minutes = number('minutes', values.minutes, /^\d+(?:\.\d+)?$/)
  const sample = number('sample', values.sample)
  const floor = number('floor', values.floor)
  return {
    scopes: positionals.map(parseScope),
    ...(values.since === undefined ? {} : { since: values.since }),
    ...(values.like === undefined ? {} : { like: new RegExp(values.like) }),
    ...(minutes === undefined ? {} : { limitMs: Math.round(minutes * 60_000) }),
    ...(sample === undefined ? {} : { sample }),
    ...(floor === undefined ? {} : { floor }),
    seed: number('seed', values.seed) ?? 1,
    workers: Math.max(1, number('workers', values.workers) ?? availableParallelism()),
    json: values.json === true,
  }
}

/** Folder that keeps results between runs: below SLIPWAY_TEST_CACHE, else in node_modules. */
export function cacheFolder(root: string): string {
  const folder = process.env['SLIPWAY_TEST_CACHE']
  return folder === undefined ? join(root, 'node_modules/.cache/slipway-mutate') : join(folder, 'mutate')
}

function parseScope(word: string): Scope {
  const [, path = '', line, lineLast = line] = /^(.*?)(?::(\d+)(?:-(\d+))?)?$/.exec(word) ?? []
  const normal = posix.normalize(path).replace(/\/$/, '')
  return line === undefined ? { path: normal } : { path: normal, lines: { line: Number(line), lineLast: Number(lineLast) } }
}

function number(name: string, text: string | undefined, form = /^\d+$/): number | undefined {
  if (text === undefined) return undefined
  if (!form.test(text)) throw new RangeError(`--${name} takes a number, not "${text}".`)
  return Number(text)
}
