#include "coordinator/inputs/unpacker.hpp"

#include <array>
#include <fmt/format.h>
#include <string>
#include <vector>
#include <zlib.h>
#include <zstd.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t packed_bytes = 64 * 1024;
constexpr int zstd_window_log_max = 27;
constexpr std::string_view gzip_magic{"\x1f\x8b", 2}, zstd_magic{"\x28\xb5\x2f\xfd", 4};

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

tl::unexpected<Error> cut(std::string_view format) {
  return bad(
      fmt::format("expected {} data to its end, got a file that is cut; fetch it again", format));
}

tl::unexpected<Error> damaged(std::string_view format, std::string_view why) {
  return bad(fmt::format("expected {} data, got damaged ones ({}); fetch them again", format, why));
}

// What both formats share: the packed bytes that were read and are not used yet.
class Packed {
public:
  explicit Packed(Unpacker::Read read) : read_{std::move(read)}, bytes_(packed_bytes) {}
  // False at the end of the file.
  Result<bool> fill() {
    if (!rest.empty()) return true;
    const auto got = read_(bytes_);
    GRISTMILL_TRY(got);
    rest = {bytes_.data(), *got};
    return *got > 0;
  }
  std::span<char> rest;

private:
  Unpacker::Read read_;
  std::vector<char> bytes_;
};

class Gunzip final : public Unpacker {
public:
  explicit Gunzip(Read read) : packed_{std::move(read)} {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc{};
  }
  ~Gunzip() override { inflateEnd(&stream_); }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  Result<std::size_t> next(std::span<char> into) override {
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = static_cast<uInt>(into.size());
    while (stream_.avail_out == into.size()) {
      const auto more = packed_.fill();
      GRISTMILL_TRY(more);
      if (!*more) {
        if (between_) break;
        return cut("gzip");
      }
      if (between_) {
        if (packed_.rest.front() == '\0') { // padding, as tapes have it
          packed_.rest = packed_.rest.subspan(1);
          padded_ = true;
          continue;
        }
        if (padded_) return damaged("gzip", "text after the end");
        between_ = false;
      }
      stream_.next_in = reinterpret_cast<Bytef*>(packed_.rest.data());
      stream_.avail_in = static_cast<uInt>(packed_.rest.size());
      const int said = inflate(&stream_, Z_NO_FLUSH);
      packed_.rest = packed_.rest.last(stream_.avail_in);
      if (said == Z_STREAM_END) {
        inflateReset(&stream_);
        between_ = true;
      } else if (said != Z_OK && said != Z_BUF_ERROR) {
        return damaged("gzip", stream_.msg != nullptr ? stream_.msg : "no valid block");
      }
    }
    return into.size() - stream_.avail_out;
  }

private:
  Packed packed_;
  z_stream stream_{};
  bool between_ = false, padded_ = false; // between: a member has ended, no other has begun
};

class Unzstd final : public Unpacker {
public:
  explicit Unzstd(Read read)
      : packed_{std::move(read)}, stream_{ZSTD_createDStream(), ZSTD_freeDStream} {
    if (!stream_) throw std::bad_alloc{};
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, zstd_window_log_max);
  }

  Result<std::size_t> next(std::span<char> into) override {
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (out.pos == 0) {
      // Also without new input there may be output left.
      const auto more = flushed_ ? packed_.fill() : Result<bool>{true};
      GRISTMILL_TRY(more);
      if (!*more) {
        if (between_) break;
        return cut("zstd");
      }
      ZSTD_inBuffer in{packed_.rest.data(), packed_.rest.size(), 0};
      const std::size_t said = ZSTD_decompressStream(stream_.get(), &out, &in);
      packed_.rest = packed_.rest.subspan(in.pos);
      if (ZSTD_isError(said)) return damaged("zstd", ZSTD_getErrorName(said));
      between_ = said == 0;
      flushed_ = between_ || out.pos < out.size;
    }
    return out.pos;
  }

private:
  Packed packed_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  bool between_ = false, flushed_ = true;
};

} // namespace

Result<Packing> packing_of(std::string_view name, std::string_view head) {
  const Packing found = head.starts_with(gzip_magic)   ? Packing::gzip
                        : head.starts_with(zstd_magic) ? Packing::zstd
                                                       : Packing::none;
  for (const auto& [suffix, promised, called] :
       {std::tuple{".gz", Packing::gzip, "gzip"}, std::tuple{".zst", Packing::zstd, "zstd"}})
    if (name.ends_with(suffix) && found != promised)
      return bad(fmt::format("expected {} data because of its name, got {}; pack it, or rename it",
                             called, head.empty() ? "an empty file" : "something else"));
  return found;
}

std::unique_ptr<Unpacker> Unpacker::open(Packing packing, Read read) {
  if (packing == Packing::gzip) return std::make_unique<Gunzip>(std::move(read));
  return std::make_unique<Unzstd>(std::move(read));
}

} // namespace gristmill::coordinator
