// What each test of a file reaches: the units of a source, their record, and the names of tests.

import { describe, expect, test } from 'bun:test'
import { testNames } from '../../../scripts/mutate/coverage.ts'
import { patternOf } from '../../../scripts/mutate/test-run.ts'
import { instrument, unitAround, unitsOf } from '../../../scripts/mutate/units.ts'

const SOURCE = `import { a } from './a.ts'
export function f(x: number): string
export function f(x: number | string): string {
  if (x === 1) return 'one'
  else if (x === 2) { x = 3 }
  const g = (y: number) => ({ y })
  switch (g(1).y) {
    case 1:
      return String(x)
  }
  return [x].map((z) => (w: number) => z)[0]!(1) as string
}
type T = 1
export const last = f(1)
`

const unitTexts = (text: string): string[] => unitsOf({ path: 'x.ts', text }).map(({ start, end }) => text.slice(start, end).split('\n')[0] ?? '')

describe('units', () => {
  test('are statements, branches without a block, and results of arrow functions', () => {
    expect(unitTexts(SOURCE).slice(1)).toEqual([
      "if (x === 1) return 'one'",
      "return 'one'",
      'if (x === 2) { x = 3 }',
      'x = 3',
      'const g = (y: number) => ({ y })',
      '{ y }',
      'switch (g(1).y) {',
      'return String(x)',
      'return [x].map((z) => (w: number) => z)[0]!(1) as string',
      '(w: number) => z',
      'z',
      'export const last = f(1)',
    ])
  })

  test('the innermost one around a range is found; code outside of all belongs to the file', () => {
    const units = unitsOf({ path: 'x.ts', text: SOURCE })
    const around = (text: string): number => {
      const start = SOURCE.indexOf(text)
      return unitAround(units, { start, end: start + text.length })
    }
    expect(around("'one'")).toBe(2)
    expect(around('x === 1')).toBe(1)
    expect(around('x = 3')).toBe(4)
    expect(around('x: number | string')).toBe(0)
    expect(around('last = ')).toBe(12)
  })

  test('record that they run, and the program does the same', async () => {
    const text = instrument({ path: 'x.ts', text: SOURCE.replace("import { a } from './a.ts'", '') }, 100)
    const run = new Bun.Transpiler({ loader: 'ts' }).transformSync(text).replaceAll('export ', '')
    const child = Bun.spawnSync([process.execPath, '-e', `${run}\nf(7)\nconsole.log(last, Object.keys(globalThis.$reached).join(' '))`], {
      env: { ...process.env, SLIPWAY_REACHED: '' },
    })
    // The branch of "x === 2" and the case do run, the one of "x = 3" does not.
    expect(child.stdout.toString()).toBe('one 100 101 102 103 105 106 107 108 112\n')
    expect(text.split('\n')).toHaveLength(SOURCE.split('\n').length)
  })
})

describe('names of tests', () => {
  test('are read with their groups; skipped tests are left out', () => {
    const xml = `<testsuites name="bun test"><testsuite name="n.test.ts" file="n.test.ts">
      <testsuite name="a &gt; b"><testsuite name="c &quot;q&quot;">
        <testcase name="t {&#10;  a: 2&#10;}" classname="c &gt; a" time="0.1" />
        <testcase name="fails" classname="c"><failure type="AssertionError">text</failure></testcase>
      </testsuite></testsuite>
      <testcase name="later" classname=""><skipped message="TODO" /></testcase>
      <testcase name="last" classname="" />
    </testsuite></testsuites>`
    expect(testNames(xml)).toEqual(['a > b c "q" t {\n  a: 2\n}', 'a > b c "q" fails', 'last'])
  })

  test('are matched as they are', () => {
    const pattern = new RegExp(patternOf(['a (b) [c] $x ^ 1.5 * \\ {} | ?', 'd']))
    expect(pattern.test('a (b) [c] $x ^ 1.5 * \\ {} | ?')).toBe(true)
    expect(pattern.test('d')).toBe(true)
    expect(pattern.test('d e')).toBe(false)
    expect(pattern.test('xd')).toBe(false)
  })
})
