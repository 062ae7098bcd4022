// Tests that need a program of the system: run where it is, skipped by name where it is not, and failed in CI, where
// every package is there (SLIPWAY_REQUIRE_ALL=1). What a machine cannot do at all is skipped in either case.

import { test } from 'bun:test'

/** `test` of bun:test, as far as a test that may be skipped uses it. */
export type TestFunction = (name: string, body: () => void | Promise<unknown>, timeoutMs?: number) => void

const told = new Set<string>()

/** Whether a program is on the path; prints once which Debian package would bring it. */
export function hasTool(program: string, debianPackage: string): boolean {
  if (Bun.which(program, { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }) !== null) return true
  tell(`${program} is not here: apt-get install ${debianPackage}`)
  return false
}

/**
 * `test`, or a test that is skipped because a program is missing.
 *
 * @example
 * const qemuTest = requireTool('qemu-img', 'qemu-utils')
 * qemuTest('converts the download back', async () => { … })
 */
export function requireTool(program: string, debianPackage: string): TestFunction {
  return hasTool(program, debianPackage) ? test : missing(`${program} is missing (Debian package ${debianPackage})`)
}

/** `test`, or a test that is skipped because a program that comes by another way than Debian is missing; `command` installs it. */
export function requireProgram(program: string, command: string): TestFunction {
  if (Bun.which(program) !== null) return test
  tell(`${program} is not here: ${command}`)
  return missing(`${program} is missing (${command})`)
}

/** As `requireTool` for something that is no program, such as a library: the caller looks whether it is there. */
export function requirePackage(isThere: boolean, what: string, debianPackage: string): TestFunction {
  if (isThere) return test
  tell(`${what} is not here: apt-get install ${debianPackage}`)
  return missing(`${what} is missing (Debian package ${debianPackage})`)
}

/**
 * `test`, or a test that is skipped where the machine cannot run it: no root rights, no loop devices, no containers.
 * Installing packages does not help there, so it is a skip in CI too.
 */
export function requireThat(condition: boolean, reason: string): TestFunction {
  if (condition) return test
  tell(reason)
  return test.skip
}

function missing(reason: string): TestFunction {
  if (process.env['SLIPWAY_REQUIRE_ALL'] !== '1') return test.skip
  return (name) =>
    test(name, () => {
      throw new Error(`SLIPWAY_REQUIRE_ALL=1, but ${reason}`)
    })
}

function tell(reason: string): void {
  if (told.has(reason)) return
  told.add(reason)
  console.error(`skipped: ${reason}`)
}
