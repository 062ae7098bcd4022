#!/usr/bin/env bun
// Tests any server for conformance with tus 1.0.0: `bun test/conformance/tus/main.ts --url http://127.0.0.1:1080/files/ [--token T]
// [--header "Name: value"] [--origin https://page.example] [--row N] [--json]`, or `--peer tus-node` and `--peer tusd` for servers that it
// starts itself. Exits 1 when a MUST fails.

import { parseArgs } from 'node:util'
import { PEERS } from './peers.ts'
import { CASES, judge } from './run.ts'
import type { Verdict } from './run.ts'
import { Target } from './suite.ts'

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    token: { type: 'string' },
    header: { type: 'string', multiple: true, default: [] },
    origin: { type: 'string' },
    peer: { type: 'string' },
    row: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

await using peer = values.peer === undefined ? undefined : await PEERS[values.peer]?.()
const url = peer?.url ?? values.url
if (url === undefined) {
  console.error('usage: main.ts --url URL | --peer tus-node|tusd [--token TOKEN] [--header "Name: value"] [--origin ORIGIN] [--row N] [--json]')
  process.exit(2)
}

const headers = Object.fromEntries(values.header.map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]))
const target = await Target.open({
  url,
  headers: { ...headers, ...(values.token === undefined ? {} : { Authorization: `Bearer ${values.token}` }) },
  ...(values.origin === undefined ? {} : { origin: values.origin }),
})
const verdicts: Verdict[] = []
for (const one of CASES.filter(({ row }) => values.row === undefined || row === Number(values.row))) {
  const verdict = await judge(target, one)
  verdicts.push(verdict)
  if (!values.json) console.log(line(verdict))
}
if (values.json) console.log(JSON.stringify(verdicts.map(({ case: { row, name, level }, outcome, detail }) => ({ row, name, level, outcome, detail }))))
else console.log(`\n${summary(verdicts)}`)
process.exitCode = verdicts.some(({ case: { level }, outcome }) => level === 'must' && (outcome === 'failed' || outcome === 'broken')) ? 1 : 0

function line({ case: { row, name, level }, outcome, detail }: Verdict): string {
  const shown = { passed: 'ok     ', failed: 'FAILED ', broken: 'BROKEN ', skipped: 'skipped' }[outcome]
  return `${String(row).padStart(2)}  ${level.padEnd(6)}  ${shown}  ${name}${detail === '' ? '' : `\n                     ${detail}`}`
}

function summary(all: readonly Verdict[]): string {
  const count = (level: string, outcomes: readonly string[]): number =>
    all.filter((verdict) => verdict.case.level === level && outcomes.includes(verdict.outcome)).length
  return ['must', 'should', 'best']
    .map((level) => `${level}: ${count(level, ['passed'])} passed, ${count(level, ['failed', 'broken'])} failed, ${count(level, ['skipped'])} skipped`)
    .join('\n')
}
