// How the disk under a journal fails in tests, and how its process dies. Invariant: a fault ends
// with its test.
#pragma once

#include "actors/kit/clock.hpp"
#include "coordinator/journal/sqlite_store.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gristmill::store_test {

inline std::atomic<bool> database_disk_full = false;

inline ssize_t pwrite_of_database(int fd, const void* data, std::size_t size, off_t offset) {
  if (!database_disk_full) return ::pwrite(fd, data, size, offset);
  errno = ENOSPC;
  return -1;
}

// SQLite's own files go through its table of system calls.
struct DatabaseDisk {
  DatabaseDisk() { set(reinterpret_cast<sqlite3_syscall_ptr>(pwrite_of_database)); }
  ~DatabaseDisk() {
    database_disk_full = false;
    set(nullptr);
  }
  static void set(sqlite3_syscall_ptr call) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    for (const char* name : {"pwrite", "pwrite64"}) vfs->xSetSystemCall(vfs, name, call);
  }
};

// Where a life ends: killed from outside, or by itself at a point that a kill seldom meets.
enum class Death { outside, in_the_middle_of_a_line, between_line_and_row };

inline void die_in_call(coordinator::SqliteStoreOptions& options, Death death, std::uint64_t call) {
  if (death == Death::in_the_middle_of_a_line)
    options.disk_calls.pwrite = [call](int fd, const void* data, std::size_t size,
                                       off_t offset) mutable {
      const ssize_t written = ::pwrite(fd, data, call == 0 ? size - 5 : size, offset);
      if (call-- == 0) ::raise(SIGKILL);
      return written;
    };
  if (death == Death::between_line_and_row)
    options.disk_calls.fdatasync = [call](int fd) mutable {
      const int synced = ::fdatasync(fd);
      if (call-- == 0) ::raise(SIGKILL);
      return synced;
    };
}

// What a life said through its pipe, and whether it was killed or came to its end.
template <class Word> struct Said {
  std::vector<Word> words;
  bool killed = false;
};

// Kills the child, which is live(pipe), a little after so many words, unless it ends before.
template <class Word, class Live>
Said<Word> run_and_kill(Live live, std::uint64_t words, Duration later) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(pipe[0]);
    try {
      live(pipe[1]);
      ::_exit(0);
    } catch (const std::exception& error) {
      ::perror(error.what());
      ::_exit(1);
    }
  }
  ::close(pipe[1]);
  Said<Word> said;
  Word word{};
  const auto hear = [&] {
    const bool heard = ::read(pipe[0], &word, sizeof word) == sizeof word;
    if (heard) said.words.push_back(word);
    return heard;
  };
  while (words-- > 0 && hear()) {
  }
  for (const Time until = boot_now() + later; boot_now() < until;) {
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  while (hear()) {
  }
  ::close(pipe[0]);
  said.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (!said.killed) REQUIRE(status == 0);
  return said;
}

} // namespace gristmill::store_test
