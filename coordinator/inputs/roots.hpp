// INPUT ROOTS: the one way to an input's bytes. Clients name paths, and what stands at a path may
// be exchanged at any time; so the kernel itself opens it below a root (openat2 with
// RESOLVE_BENEATH), and whatever is to be known of it is asked of its descriptor. Invariant:
// nothing that lies outside of the roots is opened, whatever a link says.
#pragma once

#include "coordinator/disk/file_descriptor.hpp"
#include "protocol/job/spec.hpp"

#include <string>
#include <sys/stat.h>
#include <vector>

namespace gristmill::coordinator {

struct OpenedFile {
  FileDescriptor file;
  struct stat about {};
};

class InputRoots {
public:
  InputRoots() = default; // none: a user's own command reads whatever its user may
  // Directories, absolute and without links.
  explicit InputRoots(std::vector<std::string> roots);
  // A sentence if this kernel cannot do it.
  static Result<> are_possible();

  // Errors say why in words, without the path. refused: it leads out of the roots; unavailable: not
  // now, as where the process has no descriptor left; bad_input: anything else.
  Result<OpenedFile> open_file(const std::string& path) const; // a regular one, for reading
  Result<FileDescriptor> open_directory(const std::string& path) const;

private:
  Result<FileDescriptor> open(const std::string& path, int flags) const;
  std::vector<std::string> roots_;
};

// When it was written, as an InputSpec has it.
std::uint64_t modified_ns(const struct stat& about);

} // namespace gristmill::coordinator
