// The table of all commands. A new command is a file in the folder of its noun and a line here.

import { alertAck } from './alert/ack.ts'
import { alertList } from './alert/list.ts'
import { alertShow } from './alert/show.ts'
import { alertSilence } from './alert/silence.ts'
import { alertSilences } from './alert/silences.ts'
import { alertSubscribe } from './alert/subscribe.ts'
import { alertSubscriptions } from './alert/subscriptions.ts'
import { alertUnsilence } from './alert/unsilence.ts'
import { alertUnsubscribe } from './alert/unsubscribe.ts'
import { approvalApprove, approvalCancel, approvalDeny } from './approval/decide.ts'
import { approvalList } from './approval/list.ts'
import { approvalShow } from './approval/show.ts'
import { auditExport } from './audit/export.ts'
import { auditList } from './audit/list.ts'
import { auditVerify } from './audit/verify.ts'
import type { Command } from './command.ts'
import { eventList } from './event/list.ts'
import { exportDelete } from './export/delete.ts'
import { exportLink } from './export/link.ts'
import { exportList, imageExports } from './export/list.ts'
import { grantList } from './grant/list.ts'
import { grantRevoke } from './grant/revoke.ts'
import { help } from './help/help.ts'
import { hostKeyForget } from './host-key/forget.ts'
import { hostKeyList } from './host-key/list.ts'
import { hostKeyShow } from './host-key/show.ts'
import { imageAdd } from './image/add.ts'
import { imageBin } from './image/list/bin.ts'
import { imageBind, imageUnbind } from './image/bind.ts'
import { imageDelete } from './image/remove/delete.ts'
import { imageEdit } from './image/edit.ts'
import { imageGrant, imageRevoke } from './image/grant.ts'
import { imageExport } from './image/export.ts'
import { imageLink } from './image/link.ts'
import { imageList } from './image/list/list.ts'
import { imageMigrate } from './image/copy/migrate.ts'
import { imageProtect, imageUnprotect } from './image/protect.ts'
import { imagePurge } from './image/remove/purge.ts'
import { imageRestore } from './image/remove/restore.ts'
import { imageShow } from './image/list/show.ts'
import { imageSync } from './image/copy/sync.ts'
import { imageUpload } from './image/upload.ts'
import { linkList } from './link/list.ts'
import { linkRevoke } from './link/revoke.ts'
import { mediaGroupAdd } from './media-group/add.ts'
import { mediaGroupDelete } from './media-group/delete.ts'
import { mediaGroupEdit } from './media-group/edit.ts'
import { mediaGroupList } from './media-group/list.ts'
import { policyAdd } from './policy/add.ts'
import { policyDelete } from './policy/delete.ts'
import { policyEdit } from './policy/edit.ts'
import { policyList } from './policy/list.ts'
import { policyPause, policyResume } from './policy/pause.ts'
import { policyRun } from './policy/run.ts'
import { policyShow } from './policy/show.ts'
import { roleClaim } from './role/claim.ts'
import { roleCode } from './role/code.ts'
import { roleGrant } from './role/grant.ts'
import { roleList } from './role/list.ts'
import { roleRevoke } from './role/revoke.ts'
import { scheduleEdit } from './schedule/edit.ts'
import { scheduleList } from './schedule/list.ts'
import { schedulePause, scheduleResume } from './schedule/pause.ts'
import { scheduleRun } from './schedule/run.ts'
import { slackManifest } from './slack/manifest.ts'
import { storeAdd } from './store/add.ts'
import { storeBind, storeUnbind } from './store/bind.ts'
import { storeBrowse } from './store/show/browse.ts'
import { storeCleanup } from './store/cleanup.ts'
import { storeDelete } from './store/delete/delete.ts'
import { storeDisable } from './store/disable.ts'
import { storeEdit } from './store/edit/edit.ts'
import { storeEnable } from './store/enable.ts'
import { storeEvidence } from './store/health/evidence.ts'
import { storeHealth } from './store/health/health.ts'
import { storeList } from './store/show/list.ts'
import { storeMaintenance } from './store/maintenance.ts'
import { storeReconcile } from './store/reconcile.ts'
import { storeReconnect } from './store/reconnect.ts'
import { storeShow } from './store/show/show.ts'
import { storeTypes } from './store/types.ts'
import { taskCancel } from './task/cancel.ts'
import { taskList } from './task/list.ts'
import { taskPause, taskResume } from './task/pause.ts'
import { taskRetry } from './task/retry.ts'
import { taskShow } from './task/show.ts'
import { tokenCreate } from './token/create.ts'
import { tokenList } from './token/list.ts'
import { tokenRevoke } from './token/revoke.ts'
import { tokenRotate } from './token/rotate.ts'
import { uploadCancel } from './upload/cancel.ts'
import { uploadList } from './upload/list.ts'
import { uploadShow } from './upload/show.ts'
import { usageList } from './usage/list.ts'
import { web } from './web/web.ts'
import { webList } from './web/list.ts'
import { webRevoke } from './web/revoke.ts'
import { zoneAdd } from './zone/add.ts'
import { zoneAttach, zoneDetach } from './zone/attach.ts'
import { zoneDelete } from './zone/delete.ts'
import { zoneEdit } from './zone/edit.ts'
import { zoneList } from './zone/list.ts'
import { zoneShow } from './zone/show.ts'

export const COMMANDS: readonly Command[] = [
  storeList,
  storeShow,
  storeHealth,
  storeAdd,
  storeBrowse,
  storeEdit,
  storeEnable,
  storeDisable,
  storeMaintenance,
  storeReconnect,
  storeReconcile,
  storeCleanup,
  storeEvidence,
  storeDelete,
  storeBind,
  storeUnbind,
  storeTypes,
  imageList,
  imageShow,
  imageUpload,
  imageAdd,
  imageEdit,
  imageSync,
  imageMigrate,
  imageDelete,
  imagePurge,
  imageRestore,
  imageProtect,
  imageUnprotect,
  imageGrant,
  imageRevoke,
  imageBind,
  imageUnbind,
  imageLink,
  imageExport,
  imageExports,
  alertList,
  alertShow,
  alertAck,
  alertSilence,
  alertSilences,
  alertUnsilence,
  alertSubscribe,
  alertUnsubscribe,
  alertSubscriptions,
  eventList,
  exportList,
  exportLink,
  exportDelete,
  mediaGroupList,
  mediaGroupAdd,
  mediaGroupEdit,
  mediaGroupDelete,
  imageBin,
  hostKeyList,
  hostKeyShow,
  hostKeyForget,
  taskList,
  taskShow,
  taskCancel,
  taskPause,
  taskResume,
  taskRetry,
  uploadList,
  uploadShow,
  uploadCancel,
  scheduleList,
  scheduleRun,
  scheduleEdit,
  schedulePause,
  scheduleResume,
  policyList,
  policyShow,
  policyAdd,
  policyEdit,
  policyRun,
  policyPause,
  policyResume,
  policyDelete,
  tokenList,
  tokenCreate,
  tokenRevoke,
  tokenRotate,
  grantList,
  grantRevoke,
  linkList,
  linkRevoke,
  usageList,
  zoneList,
  zoneShow,
  zoneAdd,
  zoneEdit,
  zoneAttach,
  zoneDetach,
  zoneDelete,
  roleList,
  roleGrant,
  roleRevoke,
  roleClaim,
  roleCode,
  approvalList,
  approvalShow,
  approvalApprove,
  approvalDeny,
  approvalCancel,
  auditList,
  auditVerify,
  auditExport,
  slackManifest,
  web,
  webList,
  webRevoke,
  help,
]
