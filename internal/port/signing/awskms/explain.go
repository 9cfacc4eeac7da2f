package awskms

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// explain says in words what the SDK's error is, and what to do about it. The
// words of answers about credentials are left out: some echo the whole request,
// its session token included.
func explain(ctx context.Context, action string, err error) error {
	if done := ctx.Err(); done != nil {
		return done
	}
	var redirect *keyservice.RedirectError
	if errors.As(err, &redirect) {
		return redirect
	}
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %s", action, keyservice.Said(err.Error()))
	}
	code := keyservice.Said(answer.ErrorCode())
	switch code {
	case "NotFoundException":
		return fmt.Errorf("%s: there is no such key or alias (%s): check its name, the region and the account", action, code)
	case "AccessDeniedException":
		return fmt.Errorf("%s is not allowed (%s): allow it for these credentials, in the key's policy or an IAM policy: %s", action, code, keyservice.Said(answer.ErrorMessage()))
	case "DisabledException":
		return fmt.Errorf("%s: the key is disabled (%s): enable it, or use another", action, code)
	case "KMSInvalidStateException":
		return fmt.Errorf("%s: the key cannot be used in its state, such as pending deletion (%s): %s", action, code, keyservice.Said(answer.ErrorMessage()))
	case "ThrottlingException", "LimitExceededException", "RequestLimitExceeded", "TooManyRequestsException":
		return fmt.Errorf("%s: the service still throttled after %d attempts (%s): try again later, or ask for a higher quota", action, keyservice.Attempts, code)
	case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken", "InvalidSignatureException",
		"SignatureDoesNotMatch", "MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidIdentityToken":
		return fmt.Errorf("%s: the credentials are not accepted (%s): renew them, and check the clock", action, code)
	}
	return fmt.Errorf("%s: %s: %s", action, code, keyservice.Said(answer.ErrorMessage()))
}
