// The documents name commands that a reader can run unchanged, and everything they refer to exists: links, problem codes, keys of the
// configuration, metrics, commands.

import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { KNOWN_KEYS } from '../../agent/config-schema.ts'
import { environmentName } from '../../agent/config-source.ts'
import { CONDITIONS } from '../../bot/alerts/conditions.ts'
import { CHECK_TERMS } from '../../bot/commands/help/terms/checks.ts'
import { parseLine } from '../../bot/commands/run.ts'
import { COMMANDS } from '../../bot/commands/table.ts'
import { PROBLEMS } from '../../protocol/problems.ts'

const DOCUMENTS = ['README.md', 'CHANGELOG.md', ...new Bun.Glob('docs/**/*.md').scanSync('.')].toSorted()
/** Documents that an operator follows; all of them are installed on a node. */
const OPERATORS_DOCUMENTS = DOCUMENTS.filter((path) => /^docs\/[^/]+\.md$/.test(path))

/** Returns the lines that call `bun` by its name, which the two commands of the README do not install. */
function bareCalls(text: string): string[] {
  return text.split('\n').filter((line) => /(?:^|`)bun (?:run|test|[\w/-]+\.ts)/.test(line.trim()))
}

/** Returns the anchors of a document's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = withoutBlocks(text).matchAll(/^#+ (.*)$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '')
}

/** Returns the relative links of a document whose target does not exist. `read` returns a file's text, undefined if it does not exist. */
function brokenLinks(path: string, read: (path: string) => string | undefined): string[] {
  const links = withoutBlocks(read(path) ?? '').matchAll(/\]\(([^)\s]+)\)/g)
  return [...links].flatMap(([, link = '']) => {
    if (/^[a-z]+:/.test(link)) return []
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? path : join(dirname(path), file)
    const text = read(target)
    return text === undefined || (anchor !== undefined && !anchorsOf(text).has(anchor)) ? [link] : []
  })
}

const readFromDisk = (path: string): string | undefined => {
  if (!existsSync(path)) return undefined
  return path.endsWith('.md') ? readFileSync(path, 'utf8') : ''
}

/** Returns the first cell of each row of the tables in one section, without its code marks. */
function firstCells(path: string, heading: string): string[] {
  const section = readFileSync(path, 'utf8').split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  return [...section.matchAll(/^\| `([^`]+)` +\|/gm)].map(([, cell = '']) => cell)
}

/** Returns the commands of the console that a document names, as `noun verb`. */
function namedCommands(text: string): Set<string> {
  const nouns = [...new Set(COMMANDS.map(({ noun }) => noun))].filter((noun) => noun !== 'help').join('|')
  const found = text.matchAll(new RegExp(`(?:^ *slipway |<<< "|\`)((?:${nouns}) [a-z]+)\\b`, 'gm'))
  return new Set([...found].map(([, command = '']) => command))
}

describe('documents', () => {
  test('exist, and a bare call in a document would be found', () => {
    expect(DOCUMENTS.length).toBeGreaterThan(25)
    expect(bareCalls('bun run check\n`bun agent/main.ts serve`\nnpx -y bun@1.4.5 run check')).toHaveLength(2)
  })

  test.each(DOCUMENTS)('%s calls bun through npx', (path) => {
    expect(bareCalls(readFileSync(path, 'utf8'))).toEqual([])
  })

  test('a broken link would be found', () => {
    const files: Readonly<Record<string, string>> = {
      'a/one.md': '# One\n[same](#one) [gone](#two) [other](two.md#its-heading-10) [no such](three.md) [far](https://x)\n```\n[not](a-link)\n```\n',
      'a/two.md': '## Its heading, 1.0\n',
    }
    expect(brokenLinks('a/one.md', (path) => files[path])).toEqual(['#two', 'three.md'])
  })

  test.each(DOCUMENTS)('every link in %s resolves', (path) => {
    expect(brokenLinks(path, readFromDisk)).toEqual([])
  })

  test('problems.md has a row for every problem code, with its status', () => {
    const rows = [...readFileSync('docs/problems.md', 'utf8').matchAll(/^\| `([a-z0-9-]+)` +\| (\d{3}) /gm)].map(([, code, status]) => [code, Number(status)])
    expect(rows).toEqual(expect.arrayContaining(Object.entries(PROBLEMS).map(([code, { status }]) => [code, status])))
    expect(rows).toHaveLength(Object.keys(PROBLEMS).length)
  })

  test('configure.md has a row for every key of the configuration, and no other', () => {
    const keys = Object.entries(KNOWN_KEYS).flatMap(([section, names]) => Object.keys(names).map((name) => `${section}.${name}`))
    expect(
      firstCells('docs/configure.md', 'Keys')
        .filter((key) => key.includes('.'))
        .toSorted(),
    ).toEqual(keys.toSorted())
  })

  test('alert rules use metrics of the reference only', () => {
    const known = new Set(firstCells('docs/monitor.md', 'Metrics'))
    const text = /^```yaml\n(groups:[\s\S]*?)^```$/m.exec(readFileSync('docs/monitor.md', 'utf8'))?.[1] ?? ''
    const rule = z.strictObject({ alert: z.string(), expr: z.string(), for: z.string().optional(), annotations: z.strictObject({ summary: z.string() }) })
    const { groups } = z.object({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })) }).parse(Bun.YAML.parse(text))
    const used = groups.flatMap(({ rules }) => rules.flatMap(({ expr }) => [...expr.matchAll(/\bslipway_\w+/g)].map(([name]) => name)))
    expect(used.length).toBeGreaterThan(8)
    expect(used.filter((name) => !known.has(name))).toEqual([])
  })

  test('a command that does not exist would be found', () => {
    expect([...namedCommands('`store heal` and `image list`\n  slipway task frob\n<<< "store edit a"')]).toEqual([
      'store heal',
      'image list',
      'task frob',
      'store edit',
    ])
  })

  test.each(OPERATORS_DOCUMENTS)('every command that %s names exists', (path) => {
    const known = new Set(COMMANDS.map(({ noun, verb }) => `${noun} ${verb}`))
    expect([...namedCommands(readFileSync(path, 'utf8'))].filter((command) => !known.has(command))).toEqual([])
  })

  test('the documents for operators name only commands of slipway-agent and variables that exist', () => {
    const variables = new Set([
      ...Object.entries(KNOWN_KEYS).flatMap(([section, names]) => Object.keys(names).map((name) => environmentName(section, name))),
      ...['SLIPWAY_ADMIN_TOKEN', 'SLIPWAY_LOG_LEVEL', 'SLIPWAY_HOME', 'SLIPWAY_SEED', 'SLIPWAY_TEST_CACHE', 'SLIPWAY_CRASH_POINT', 'SLIPWAY_POWER_STATES'],
      ...['SLIPWAY_BOT_LISTEN', 'SLIPWAY_BOT_LOG', 'SLIPWAY_BOT_RECONNECT', 'SLIPWAY_BOT_KEY_FILE', 'SLIPWAY_SLACK_OPERATORS', 'SLIPWAY_SLACK_ADMINS'],
      ...['SLIPWAY_BOT_LISTEN', 'SLIPWAY_BOT_LOG', 'SLIPWAY_BOT_RECONNECT', 'SLIPWAY_APPROVALS', 'SLIPWAY_SLACK_OPERATORS', 'SLIPWAY_SLACK_ADMINS'],
      ...['SLIPWAY_WEB_LISTEN', 'SLIPWAY_WEB_URL'],
      ...['SLIPWAY_BOT_LISTEN', 'SLIPWAY_BOT_LOG', 'SLIPWAY_BOT_RECONNECT', 'SLIPWAY_APPROVALS', 'SLIPWAY_WEB_LISTEN', 'SLIPWAY_WEB_URL'],
    ])
    const text = ['README.md', ...OPERATORS_DOCUMENTS].map((path) => readFileSync(path, 'utf8')).join('\n')
    const named = [...text.matchAll(/\bSLIPWAY_[A-Z_]+[A-Z]\b/g)].map(([name]) => name)
    expect(named.filter((name) => !variables.has(name))).toEqual([])
    const commands = [...text.matchAll(/\bslipway-agent ([a-z]+) --/g)].map(([, command = '']) => command)
    expect(commands.length).toBeGreaterThan(5)
    expect(commands.filter((command) => !['serve', 'recover', 'scrub', 'gc', 'check'].includes(command))).toEqual([])
  })

  test('decisions name folders and files that exist', () => {
    const lines = [...new Bun.Glob('docs/decisions/*.md').scanSync('.')].map((path) => /\*\*Applies to\*\*: (.*)/.exec(readFileSync(path, 'utf8'))?.[1] ?? '')
    const named = lines.flatMap((line) => [...line.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path))
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((path) => !existsSync(path))).toEqual([])
  })

  test('operations.md has a section with steps for every alert and every check', () => {
    const book = readFileSync('docs/operations.md', 'utf8').split('\n## Alerts and checks\n')[1] ?? ''
    const sections = book.split(/^### /m).slice(1)
    const names = sections.map((section) => section.split('\n')[0] ?? '')
    const known = new Set([...CONDITIONS.map(({ name }) => name), ...Object.keys(CHECK_TERMS)])
    expect(names.toSorted()).toEqual([...known].toSorted())
    for (const section of sections) {
      expect(section).toMatch(/\n\*\*Means\*\*: .+\n\n\*\*Impact\*\*: .+\n\n1\. /)
      expect(section).toMatch(/^ *(?:slipway|sudo|systemctl|timedatectl|top|findmnt) /m)
    }
  })

  test('every command line of operations.md is understood', () => {
    const text = readFileSync('docs/operations.md', 'utf8')
    const lines = [...text.matchAll(/(?:^ *|`)slipway ([^`\n]+)/gm)].map(([, line = '']) => line)
    expect(lines.length).toBeGreaterThan(50)
    const parsed = lines.map((line) => [line, parseLine({ commands: COMMANDS }, line)] as const)
    expect(parsed.flatMap(([line, one]) => (one.kind === 'unclear' ? [`${line}: ${one.detail}`] : []))).toEqual([])
  })

  test('units that operations.md names exist', () => {
    const units = new Set([...readFileSync('docs/operations.md', 'utf8').matchAll(/\bslipway-(?:agent@|bot)/g)].map(([name]) => name))
    expect([...units].filter((name) => !existsSync(`systemd/${name}.service`))).toEqual([])
  })

  test('operations.md links to every document for operators', () => {
    const forDevelopers = ['architecture', 'format', 'performance', 'protocol', 'security', 'tus', 'operations']
    const index = readFileSync('docs/operations.md', 'utf8')
    const missing = OPERATORS_DOCUMENTS.filter((path) => !index.includes(`](${path.slice('docs/'.length)})`))
    expect(missing.filter((path) => !forDevelopers.includes(path.slice('docs/'.length, -'.md'.length)))).toEqual([])
  })
})

describe('units', () => {
  const units = [...new Bun.Glob('systemd/*.service').scanSync('.')]

  test.each(units)('Documentation= of %s names files that the installation copies', (unit) => {
    const line = /^Documentation=(.*)$/m.exec(readFileSync(unit, 'utf8'))?.[1] ?? ''
    const files = line.split(' ').map((url) => url.replace('file:///usr/share/doc/slipway/', 'docs/'))
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) expect(OPERATORS_DOCUMENTS).toContain(file)
    const install = readFileSync('docs/install.md', 'utf8')
    expect(install).toContain('\ninstall -D -m 0644 -t /usr/share/doc/slipway docs/*.md\n')
    expect(install).toContain('\ninstall -D -m 0644 -t /usr/share/doc/slipway/examples systemd/examples/*\n')
  })
})
