// The table of alerts in docs/slack.md says what the bot does: every condition, its severities and its hold-down, and no other.

import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { CONDITIONS, OBSERVE_MS } from '../../../bot/alerts/conditions.ts'

test('docs/slack.md has a row for every condition, and no other', () => {
  const text = readFileSync('docs/slack.md', 'utf8')
  const section = text.slice(text.indexOf('\n## Alerts\n'), text.indexOf('\n## Roles\n'))
  const rows = [...section.matchAll(/^\| `([a-z-]+)` +\| ([a-z, ]+?) +\| (\d+) s of (\d+) s +\| (\d+) s +\| (.+?) +\|$/gm)].map(([, ...cells]) => cells)
  const seconds = (observations: number): string => String((observations * OBSERVE_MS) / 1000)
  expect(rows).toEqual(
    CONDITIONS.map(({ name, severity, warning, holdDown: { bad, of, good }, meaning }) => [
      ...[name, severity === warning ? severity : `${severity}, ${warning}`],
      ...[seconds(bad), seconds(of), seconds(good), meaning],
    ]),
  )
  expect(rows).toHaveLength(18)
})
