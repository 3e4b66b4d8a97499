// Loaded before the C library (LD_PRELOAD): a disk that is full, fails, is slow or may only be read, and a clock that jumps.
//
// FAULT_UNDER   the folder whose files are meant
// FAULT_ERRNO   what a write there says once FAULT_BYTES have been written; with FAULT_BYTES=-1, opening a file for writing says it
// FAULT_DELAY   microseconds that each write there takes longer
// FAULT_CLOCK   seconds by which the clock of the calendar is wrong at every other look
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace {

std::atomic<long long> written{0};
std::atomic<unsigned> looks{0};

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

long long number(const char* name, long long otherwise) {
  const char* text = getenv(name);
  return text == nullptr || *text == 0 ? otherwise : atoll(text);
}

bool below(const char* path) {
  const char* folder = getenv("FAULT_UNDER");
  return folder != nullptr && *folder != 0 && strncmp(path, folder, strlen(folder)) == 0;
}

bool meant(int file) {
  if (getenv("FAULT_UNDER") == nullptr) return false;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = 0;
  return below(path);
}

// Whether so many more bytes fail; errno says how.
bool fails(int file, size_t bytes) {
  if (!meant(file)) return false;
  if (long long delay = number("FAULT_DELAY", 0)) usleep(delay);
  int fault = number("FAULT_ERRNO", 0);
  if (fault == 0) return false;
  if ((written += bytes) <= number("FAULT_BYTES", 0)) return false;
  errno = fault;
  return true;
}

// Whether a file or folder may not be made or opened for writing.
bool forbidden(const char* path, bool writing) {
  if (!writing || number("FAULT_BYTES", 0) != -1 || path == nullptr) return false;
  char place[8192];
  if (*path != '/') {
    if (getcwd(place, 4096) == nullptr) return false;
    strcat(place, "/");
    strncat(place, path, 4000);
    path = place;
  }
  if (!below(path)) return false;
  errno = number("FAULT_ERRNO", EROFS);
  return true;
}

long long wrong() { return looks++ % 2 ? number("FAULT_CLOCK", 0) : 0; }

}  // namespace

extern "C" {

ssize_t write(int file, const void* bytes, size_t count) {
  static auto call = real<ssize_t (*)(int, const void*, size_t)>("write");
  return fails(file, count) ? -1 : call(file, bytes, count);
}

ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t at) {
  static auto call = real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return fails(file, count) ? -1 : call(file, bytes, count, at);
}

ssize_t writev(int file, const struct iovec* parts, int count) {
  static auto call = real<ssize_t (*)(int, const struct iovec*, int)>("writev");
  size_t bytes = 0;
  for (int at = 0; at < count; ++at) bytes += parts[at].iov_len;
  return fails(file, bytes) ? -1 : call(file, parts, count);
}

size_t fwrite(const void* bytes, size_t size, size_t count, FILE* stream) {
  static auto call = real<size_t (*)(const void*, size_t, size_t, FILE*)>("fwrite");
  return fails(fileno(stream), size * count) ? 0 : call(bytes, size, count, stream);
}

int posix_fallocate64(int file, off64_t at, off64_t length) {
  static auto call = real<int (*)(int, off64_t, off64_t)>("posix_fallocate64");
  return fails(file, length) ? errno : call(file, at, length);
}

int open64(const char* path, int flags, ...) {
  static auto call = real<int (*)(const char*, int, ...)>("open64");
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return forbidden(path, flags & (O_WRONLY | O_RDWR | O_CREAT)) ? -1 : call(path, flags, mode);
}

int mkdir(const char* path, mode_t mode) {
  static auto call = real<int (*)(const char*, mode_t)>("mkdir");
  struct stat found;
  if (stat(path, &found) == 0) {  // one that is there says so, wherever it is
    errno = EEXIST;
    return -1;
  }
  return forbidden(path, true) ? -1 : call(path, mode);
}

int clock_gettime(clockid_t clock, struct timespec* found) {
  static auto call = real<int (*)(clockid_t, struct timespec*)>("clock_gettime");
  int code = call(clock, found);
  if (clock == CLOCK_REALTIME) found->tv_sec += wrong();
  return code;
}

time_t time(time_t* into) {
  static auto call = real<time_t (*)(time_t*)>("time");
  time_t found = call(nullptr) + wrong();
  if (into != nullptr) *into = found;
  return found;
}
}
