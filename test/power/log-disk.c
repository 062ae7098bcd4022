// A FUSE file system with one file, `disk`, that logs every change of it. A loop device over that file is a disk whose history is
// known: recorded-disk.ts mounts a file system on it, disk-states.ts makes the states that a power cut may leave.
//
//   log-disk BACKING_FILE LOG MOUNT_POINT
//
// Each log entry is three little-endian 64-bit words (kind, offset, length), followed by the bytes of a write:
//   'W' write, 'Z' range set to zero, 'F' flush: every entry before it is on stable storage.
//
// One thread serves all requests, so the log has the order in which the kernel was answered: a write that the kernel knows to
// be complete when it asks for a flush is in the log before that flush.

#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char DISK[] = "/disk";
static int backing_file;
static int log_file;

// Ends the program when the log cannot be written: a log with a gap would blame the agent for it.
static void append(uint64_t kind, uint64_t offset, uint64_t length, const void *bytes, size_t count) {
  uint64_t head[3] = {kind, offset, length};
  struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, count}};
  if (writev(log_file, parts, 2) != (ssize_t)(sizeof head + count)) {
    perror("log-disk: the log cannot be written");
    abort();
  }
}

static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)config;
  // The kernel must not hold writes back: what it keeps in its cache would be missing in the log.
  connection->want &= ~FUSE_CAP_WRITEBACK_CACHE;
  return NULL;
}

static int get_attributes(const char *path, struct stat *found, struct fuse_file_info *file) {
  (void)file;
  memset(found, 0, sizeof *found);
  if (strcmp(path, "/") == 0) {
    found->st_mode = S_IFDIR | 0700;
    found->st_nlink = 2;
    return 0;
  }
  if (strcmp(path, DISK) != 0) return -ENOENT;
  if (fstat(backing_file, found) != 0) return -errno;
  found->st_mode = S_IFREG | 0600;
  return 0;
}

static int open_disk(const char *path, struct fuse_file_info *file) {
  if (strcmp(path, DISK) != 0) return -ENOENT;
  // No page cache between the loop device and this program.
  file->direct_io = 1;
  return 0;
}

static int read_disk(const char *path, char *into, size_t length, off_t offset, struct fuse_file_info *file) {
  (void)path, (void)file;
  ssize_t done = pread(backing_file, into, length, offset);
  return done < 0 ? -errno : (int)done;
}

static int write_disk(const char *path, const char *bytes, size_t length, off_t offset, struct fuse_file_info *file) {
  (void)path, (void)file;
  ssize_t done = pwrite(backing_file, bytes, length, offset);
  if (done < 0) return -errno;
  append('W', (uint64_t)offset, (uint64_t)done, bytes, (size_t)done);
  return (int)done;
}

static int zero_disk(const char *path, int mode, off_t offset, off_t length, struct fuse_file_info *file) {
  (void)path, (void)mode, (void)file;
  if (fallocate(backing_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) != 0) return -errno;
  append('Z', (uint64_t)offset, (uint64_t)length, NULL, 0);
  return 0;
}

static int flush_disk(const char *path, int data_only, struct fuse_file_info *file) {
  (void)path, (void)data_only, (void)file;
  append('F', 0, 0, NULL, 0);
  return 0;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: log-disk BACKING_FILE LOG MOUNT_POINT\n");
    return 2;
  }
  backing_file = open(arguments[1], O_RDWR);
  log_file = open(arguments[2], O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
  if (backing_file < 0 || log_file < 0) {
    perror("log-disk");
    return 1;
  }
  const struct fuse_operations operations = {
      .init = start,
      .getattr = get_attributes,
      .open = open_disk,
      .read = read_disk,
      .write = write_disk,
      .fallocate = zero_disk,
      .fsync = flush_disk,
  };
  char *fuse_arguments[] = {arguments[0], "-f", "-s", arguments[3], NULL};
  return fuse_main(4, fuse_arguments, &operations, NULL);
}
