// INPUT ROOTS: the one way to an input's bytes. What was uploaded is opened by the blob store.
// Anything else is a file that somebody else may exchange at any time; so the kernel itself opens
// it below a root (openat2 with RESOLVE_BENEATH), and whatever is to be known of it is asked of its
// descriptor. Invariant: nothing that lies outside of the roots is opened, whatever a link says.
#pragma once

#include "actors/journal/blob_store.hpp"
#include "coordinator/disk/file_descriptor.hpp"
#include "protocol/job/spec.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

struct OpenedFile {
  std::unique_ptr<journal::ByteReader> file;
  journal::ByteState about; // when it was opened
};

class InputRoots {
public:
  InputRoots() = default; // none: a user's own command reads whatever its user may
  // Directories, absolute and without links; uploads are read besides.
  explicit InputRoots(std::vector<std::string> roots,
                      std::shared_ptr<const journal::BlobStore> uploads = nullptr);
  // A sentence if this kernel cannot do it.
  static Result<> are_possible();

  // Errors say why in words, without the path. refused: it leads out of the roots; unavailable: not
  // now, as where the process has no descriptor left; bad_input: anything else.
  Result<OpenedFile> open_file(const std::string& path) const; // a regular one, for reading
  Result<FileDescriptor> open_directory(const std::string& path) const;

private:
  Result<FileDescriptor> open(const std::string& path, int flags) const;
  std::vector<std::string> roots_;
  std::shared_ptr<const journal::BlobStore> uploads_; // none: nothing was uploaded
};

// Of what was opened and could not be read: why, and what it was.
Error cannot_read(const std::string& path, const Error& why);

// Both absolute and without links.
bool is_below(const std::filesystem::path& path, const std::filesystem::path& root);
// A directory as InputRoots takes it; the error begins with `named`.
Result<std::string> real_directory(const std::string& path, std::string_view named);

} // namespace gristmill::coordinator
