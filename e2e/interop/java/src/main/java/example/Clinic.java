package example;

import java.util.Map;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.ResponseEntity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.annotation.RegisteredOAuth2AuthorizedClient;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/** A clinic: an application that citizens sign in to, and an API that others call. */
@SpringBootApplication
@RestController
public class Clinic {

	private final String apiUrl;

	Clinic(@Value("${api.url}") String apiUrl) {
		this.apiUrl = apiUrl;
	}

	public static void main(String[] args) {
		SpringApplication.run(Clinic.class, args);
	}

	/** Who signed in, and what somebody else's API says about them. */
	@GetMapping("/")
	Map<String, Object> home(@AuthenticationPrincipal OidcUser citizen,
			@RegisteredOAuth2AuthorizedClient("ecard") OAuth2AuthorizedClient client) {
		ResponseEntity<String> bills = RestClient.create(this.apiUrl)
			.get()
			.headers((headers) -> headers.setBearerAuth(client.getAccessToken().getTokenValue()))
			.retrieve()
			.toEntity(String.class);
		return Map.of("sub", citizen.getSubject(), "acr", citizen.getClaimAsString("acr"), "name", citizen.getFullName(),
				"status", bills.getStatusCode().value(), "bills", bills.getBody());
	}

	/** What this clinic's own API says. */
	@GetMapping("/api/bills")
	String bills(@AuthenticationPrincipal Jwt token) {
		return "bills of " + token.getSubject();
	}

}
