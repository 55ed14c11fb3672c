// BLOB STORE: the window to what is kept as a whole: the inputs that clients bring, and the lists
// in which a job's many inputs are written down. A job's specification names a blob by its place,
// which nobody but the store takes apart.
//
//   begin -> append … -> finish -> durable, and never changed again -> remove
//                |  dropped: nothing of it stays
//
// Invariant: what is found at a place is complete and would survive a power cut.
#pragma once

#include "actors/journal/byte_reader.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::journal {

struct Blob {
  std::string id, place;
  std::uint64_t bytes = 0;
};

// A blob on its way in. One thread at a time; the store must outlive it.
class BlobWriter {
public:
  virtual ~BlobWriter() = default;
  virtual Result<> append(std::string_view bytes) = 0;
  // What stands at this place is part of the blob from now on, and goes with it and not before.
  // Its new place.
  virtual Result<std::string> link(const std::string& place) = 0;
  virtual Result<Blob> finish() = 0; // it is durable
};

// Any thread.
class BlobStore {
public:
  virtual ~BlobStore() = default;
  // `name`: as its client calls it; `bytes`: as announced, if they were. disk_full: no room.
  virtual Result<std::unique_ptr<BlobWriter>> begin(std::string_view name,
                                                    std::optional<std::uint64_t> bytes) = 0;
  // Whether it is for this store to say what this path leads to; links in it were followed.
  virtual bool owns(const std::string& path) const = 0;
  // Of a path that it owns: whether it can be a blob's place, also of one that is gone.
  virtual bool is_place(const std::string& path) const = 0;
  // The blob that a place is part of; empty = of none.
  virtual std::string id_of(const std::string& place) const = 0;
  // An error says why in words, without the place; unavailable: not now.
  virtual Result<std::unique_ptr<ByteReader>> open(const std::string& place) const = 0;
  virtual bool remove(const std::string& id) = 0; // false: there is none
  // Removes those that have been there for so long and are not in use; returns how many.
  virtual std::size_t remove_unused(std::chrono::seconds age,
                                    const std::function<bool(const std::string& id)>& in_use) = 0;
};

} // namespace gristmill::journal
