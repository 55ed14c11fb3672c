// UPLOADS: the input files that clients bring, and the say over which files a job may read at all:
// what was uploaded, which is the blob store's, and what lies below the data root, if the
// coordinator was given one.
//
// Invariant: a client can make the coordinator read nothing else on its disk.
#pragma once

#include "actors/journal/blob_store.hpp"
#include "coordinator/disk/work_threads.hpp"
#include "coordinator/inputs/roots.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

class Uploads {
public:
  using Finished = std::function<void(Result<journal::Blob>)>;

  // `data_root` empty: there is none; it may not hold the state, nor lie within it.
  static Result<std::unique_ptr<Uploads>> open(std::shared_ptr<journal::BlobStore> blobs,
                                               const std::string& state_directory,
                                               const std::string& data_root);

  // `bytes`: as announced, if they were.
  Result<std::unique_ptr<journal::BlobWriter>> begin(std::string_view name,
                                                     std::optional<std::uint64_t> bytes);
  // Makes it durable, with the rest that was not appended yet, on a thread of its own: a sync may
  // take so long that even other uploads must not wait for it.
  void finish(std::unique_ptr<journal::BlobWriter> upload, std::string rest, Finished finished);
  // Other work on uploads, on threads for that: whatever touches the disk makes somebody wait.
  void order(std::function<void()> work) { pieces_.order(std::move(work)); }

  const std::string& data_root() const { return data_root_; } // empty: there is none
  // Where a path really leads that a job may read: an upload, or the data root or something below
  // it, for which a path may also be given relative to it. It need not be there.
  Result<std::string> located(const std::string& path) const;
  // What opens a located path, whatever has taken its place since.
  const InputRoots& roots() const { return roots_; }
  // The upload that a located path is part of; empty = of none.
  std::string id_of(const std::string& path) const { return blobs_->id_of(path); }
  journal::BlobStore& blobs() { return *blobs_; }

private:
  Uploads(std::shared_ptr<journal::BlobStore> blobs, std::string data_root);

  std::shared_ptr<journal::BlobStore> blobs_;
  std::string data_root_; // absolute, without links
  InputRoots roots_;
  WorkThreads finishing_{"uploads", 1}, pieces_{"uploads", 4};
};

// Refuses a data root that holds `path`, which `option` named, or lies within it.
Result<> keep_apart(const std::string& data_root, std::string_view option, const std::string& path);

} // namespace gristmill::coordinator
