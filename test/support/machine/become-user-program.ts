// Preloaded before a program (`bun --preload`): gives the rights of root up for those of SLIPWAY_TEST_UID. The runtime itself may be in a
// folder that only root can enter, so it has to be started as root.

const uid = Number(process.env['SLIPWAY_TEST_UID'])
process.setgroups?.([])
process.setgid?.(uid)
process.setuid?.(uid)
