#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "agent/api_server.h"

namespace weighhouse::agent {

/// Answers requests with what it was told, in order, and keeps them. Not thread-safe.
class FakeApi final : public ApiServer {
 public:
  void Answers(int status, std::string body = "{}") {
    answers_.push_back(ApiAnswer{.status = status, .body = std::move(body)});
  }
  void Answers(ApiAnswer answer) { answers_.push_back(std::move(answer)); }
  void Fails(Error error) { answers_.push_back(std::unexpected(std::move(error))); }

  Result<ApiAnswer> Send(const ApiRequest& request, std::stop_token) override {
    requests.push_back(request);
    if (answers_.empty()) return Fail(Code::kInternal, "no answer was scripted");
    Result<ApiAnswer> answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

  std::vector<ApiRequest> requests;

 private:
  std::deque<Result<ApiAnswer>> answers_;
};

}  // namespace weighhouse::agent
