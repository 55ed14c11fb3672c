// FILE BLOBS: the blob store on a disk:
//
//   STATE/inputs/ID/NAME.part    while it comes
//   STATE/inputs/ID/NAME         complete and durable; its path is its place
//   STATE/inputs/ID/content-N    what a list names of other blobs, as a second name of the file
//
// Invariant: nothing outside of STATE/inputs is opened or removed, whatever an id or a place says.
#pragma once

#include "actors/journal/blob_store.hpp"
#include "coordinator/disk/file_io.hpp"
#include "coordinator/inputs/roots.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

class FileBlobs final : public journal::BlobStore {
public:
  // Removes what an earlier life left unfinished.
  static Result<std::shared_ptr<FileBlobs>> open_in(const std::string& state_directory,
                                                    DiskCalls calls = real_disk());

  Result<std::unique_ptr<journal::BlobWriter>> begin(std::string_view name,
                                                     std::optional<std::uint64_t> bytes) override;
  bool owns(const std::string& path) const override;
  bool is_place(const std::string& path) const override;
  std::string id_of(const std::string& place) const override;
  Result<std::unique_ptr<journal::ByteReader>> open(const std::string& place) const override;
  bool remove(const std::string& id) override;
  std::size_t remove_unused(std::chrono::seconds age,
                            const std::function<bool(const std::string& id)>& in_use) override;

private:
  class Writer;
  FileBlobs(std::string root, DiskCalls calls)
      : root_{std::move(root)}, calls_{std::move(calls)}, files_{std::vector{root_}} {}

  std::string root_; // absolute, without links
  DiskCalls calls_;
  InputRoots files_;
};

// The last component of a path, with what a file name had better not contain replaced.
std::string file_name_of(std::string_view name);

} // namespace gristmill::coordinator
