// HTTP CLIENT: the command's window to a coordinator or an endpoint. One connection, one call at a
// time. Invariant: a call comes to an end; no server can hold the command for ever by saying
// nothing.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gristmill::cli {

struct HttpCall {
  std::string method = "GET";
  std::string path; // with its query, encoded
  std::string body;
  // Gives the body instead, piece by piece: how many bytes it put there, 0 at its end.
  std::function<Result<std::size_t>(std::span<char>)> upload;
  std::optional<std::uint64_t> upload_bytes;
  std::string header; // of a successful answer, that is wanted besides its body; empty = none
  // Takes the body of a successful answer in pieces; false ends the call.
  std::function<bool(std::string_view)> download;
};

struct HttpAnswer {
  long status = 0;
  std::string body;   // empty when it was downloaded
  std::string header; // that was wanted; empty: there is none
};

// What sentences call the server, and the option that names it.
struct ServerWords {
  std::string noun = "coordinator", option = "--server";
};

class HttpClient {
public:
  // `server`: http://HOST:PORT and perhaps a path. An empty token is not sent.
  HttpClient(std::string server, const std::string& token, ServerWords words = {},
             std::string ca_file = {}); // PEM, beside the system's certificates
  HttpClient(HttpClient&&) noexcept;
  ~HttpClient();

  // unavailable: no answer came, whether or not the request was received.
  Result<HttpAnswer> call(const HttpCall& call);
  const std::string& server() const { return server_; }

private:
  struct Handle;
  std::string server_;
  ServerWords words_;
  std::string ca_file_;
  std::unique_ptr<Handle> handle_;
};

// As one component of a path or one value of a query.
std::string url_encoded(std::string_view text);

} // namespace gristmill::cli
